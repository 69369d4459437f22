"""Very many bets, many calls at once, and the truth about all of them: quick, and in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import requests
from sim_clients import DAY, HOUR, LUCKO, NOW, SMALL, TODAY, WINDOWS, Client, exact

import simulator
from simulator.agents import BULK_FROM
from simulator.clock import WorldClock
from simulator.world import World
from simulator.world.lucko_bulk import LAG, BulkLuckoWorld
from simulator.world.memo import Memo

START = TODAY - DAY
BULK = replace(LUCKO, bets_per_hour=1_000_000)


def bulk(**settings: object) -> BulkLuckoWorld:
    agent = replace(BULK, **{key: settings.pop(key) for key in ("bets_per_hour", "hostile_ids") if key in settings})  # type: ignore[arg-type]
    config = simulator.SimConfig(**({"seed": 7, "agents": (agent,)} | settings))  # type: ignore[arg-type]
    made = World(config, WorldClock(frozen_at=NOW)).lucko[agent.agent_id]
    assert isinstance(made, BulkLuckoWorld)
    return made


# ---------------------------------------------------------------- a million bets an hour


@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize("per_hour", [BULK_FROM, 7_919, 1_000_000])
def test_encoded_rows_are_the_rows(per_hour: int, hostile: bool) -> None:
    made = bulk(bets_per_hour=per_hour, hostile_ids=hostile)
    window = (START + 17, START + 17 + 2_000_000_000 // per_hour)
    rows = made.bets(*window, as_of=NOW)
    page = made.page(*window, as_of=NOW, index=0, size=10_000)
    assert [exact(row) for row in map(bytes, page.rows)] == rows
    assert page.total == len(rows) == pytest.approx(555, abs=2)
    keys = [(row["update_time"], row["id"]) for row in rows]
    assert keys == sorted(set(keys))
    assert window[0] <= keys[0][0] <= keys[-1][0] < window[1]
    assert all(made.bet(row["id"], as_of=NOW) == row for row in rows[::50])
    assert made.bet(rows[0]["id"], as_of=rows[0]["update_time"] - 1) is None
    assert all((hostile and len(row["id"]) > 24) or len(row["id"]) == 24 for row in rows)


def test_a_window_holds_what_its_parts_hold() -> None:
    made = bulk()
    assert made.page(START, START + HOUR, as_of=NOW, index=0, size=1).total == 1_000_000
    ends = [START, START + 1, START + 999_999, START + HOUR // 2, START + HOUR]
    parts = [made.page(a, b, as_of=NOW, index=0, size=1).total for a, b in pairwise(ends)]
    assert sum(parts) == 1_000_000
    last = made.page(START, START + HOUR, as_of=NOW, index=999_990, size=5000)
    assert len(last.rows) == 10
    assert made.page(START, START + HOUR, as_of=NOW, index=1_000_000, size=5000).rows == []
    assert made.page(START, START + HOUR, as_of=START + 10 * HOUR, index=0, size=1).total == 1_000_000
    assert made.page(START, START + HOUR, as_of=START - 1, index=0, size=1).total == 0


def test_a_bulk_world_keeps_to_the_activity() -> None:
    made = bulk(activity_from=START + 5, activity_until=START + HOUR)
    rows = made.bets(START, START + LAG + 1000, as_of=NOW)
    assert rows[0]["bet_time"] >= START + 5
    assert made.page(START + HOUR, START + 2 * HOUR, as_of=NOW, index=0, size=1).total == 0
    assert made.page(START, START + 2 * HOUR, as_of=NOW, index=0, size=1).total == pytest.approx(
        1_000_000 * (HOUR - LAG) / HOUR, rel=1e-4
    )
    assert made.rebates(START, START + 3 * DAY, as_of=NOW) == []


def test_a_bulk_world_changes() -> None:
    made = bulk()
    window = (START, START + 2000)
    before = {row["id"]: row for row in made.bets(*window, as_of=NOW)}
    config = simulator.SimConfig(seed=7, agents=(BULK,))
    world = World(config, WorldClock(frozen_at=NOW))
    done = world.change("lucko_bets", BULK.agent_id, *window, share=0.1, seed=1)
    assert set(done) == {"resettled", "resettled_quietly", "voided", "late", "late_in_range"}
    changed = world.lucko[BULK.agent_id]
    after = {row["id"]: row for row in changed.bets(*window, as_of=NOW)}
    assert len(before.keys() - after.keys()) == done["resettled"] + done["voided"]
    assert len(after.keys() - before.keys()) == done["late_in_range"]
    assert sum(before[key] != after[key] for key in before.keys() & after.keys()) == done["resettled_quietly"]
    rows = list(after.values())
    assert [(row["update_time"], row["id"]) for row in rows] == sorted((row["update_time"], row["id"]) for row in rows)
    pages = [changed.page(*window, as_of=NOW, index=n, size=7) for n in range(0, len(rows), 7)]
    assert [exact(bytes(row)) for page in pages for row in page.rows] == rows
    assert {page.total for page in pages} == {len(rows)}
    assert {row["id"]: row for row in changed.bets(*window, as_of=NOW - 1)} == before
    moved = {row["id"] for row in changed.bets(NOW, NOW + 1, as_of=NOW)}
    assert moved >= before.keys() - after.keys()
    changed.touch(rows[0]["id"], at=NOW)
    assert changed.page(*window, as_of=NOW, index=0, size=1).total == len(rows) - 1


def test_a_million_rows_are_served_page_by_page(tmp_path: Path) -> None:
    """Pages from all over the window, as a client would read them: little memory, and time for 200 a minute."""
    path = tmp_path / "sim.yaml"
    path.write_text(
        f"seed: 7\nquota_scale: 0\nnow: {NOW}\nport: 0\nagents:\n  lucko:\n"
        f"    - {{agent_id: {BULK.agent_id}, sign_key: {BULK.sign_key}, bets_per_hour: 1000000}}\n"
    )
    command = [sys.executable, "-m", "simulator", "--config", str(path)]
    include = Path(simulator.__file__).resolve().parents[1]
    process = subprocess.Popen(command, env={"PYTHONPATH": str(include)}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        client = Client(process.stdout.readline().split()[3])
        seen: set[str] = set()
        for index in range(0, 1_000_000, 50_000):
            data = client.bets(START, START + HOUR, start_index=index)["data"]
            assert (data["total"], len(data["transactions"])) == (1_000_000, 5000)
            seen |= {row["id"] for row in data["transactions"]}
        assert len(seen) == 20 * 5000
        used = Path(f"/proc/{process.pid}")
        if used.exists():
            # The process's own time and memory: the test's and the neighbours' are not the simulator's.
            ticks = used.joinpath("stat").read_text().rpartition(")")[2].split()
            assert (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK") < 20 * 60 / 200
            [peak] = [line for line in used.joinpath("status").read_text().splitlines() if line.startswith("VmHWM")]
            assert int(peak.split()[1]) < 500 * 1024
    finally:
        process.terminate()
        process.communicate(timeout=15)


# ---------------------------------------------------------------- many calls


@pytest.fixture(scope="module")
def busy(still: simulator.SimConfig) -> Iterator[Client]:
    """Some 2,000 Lucko bets a day."""
    agents = (replace(LUCKO, bets_per_hour=85), *SMALL[1:])
    with simulator.serve(replace(still, agents=agents)) as running:
        yield Client(running.url)


def test_eight_callers_at_once_get_right_answers_quickly(busy: Client) -> None:
    windows = [(TODAY - 2 * DAY + n * HOUR, TODAY - 2 * DAY + (n + 1) * HOUR) for n in range(24)]
    right = {window: busy.bets(*window) for window in windows}
    logs = {window: busy.betlogs(window[0], window[0] + 600_000).json()["data"] for window in windows}
    token = busy.token()

    def read(n: int) -> None:
        client = Client(busy.url, tokens={"token": token})
        for window in windows[n:] + windows[:n]:
            assert client.bets(*window) == right[window]
            assert client.betlogs(window[0], window[0] + 600_000).json()["data"] == logs[window]

    begin = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    assert time.monotonic() - begin < 15  # 384 calls
    for row in busy.sim("calls"):
        assert (row["violations"], row["throttled"], row["rejected"]) == (0, 0, 0)
        assert row["calls"] == row["accepted"]


def test_making_days_does_not_hold_up_the_others(still: simulator.SimConfig) -> None:
    """While days that nobody asked for before are made, a question about something else is answered."""
    agents = (replace(LUCKO, bets_per_hour=150), *SMALL[1:])
    with simulator.serve(replace(still, agents=agents)) as running:
        client, other = Client(running.url), Client(running.url)
        done = threading.Event()

        def cold() -> None:
            client.bets(TODAY - DAY, TODAY - DAY + HOUR)
            done.set()

        thread = threading.Thread(target=cold)
        thread.start()
        begin, waits = time.monotonic(), []
        while not done.is_set():
            asked = time.monotonic()
            assert other.sim("health")["status"] == "ok"
            waits.append(time.monotonic() - asked)
        took = time.monotonic() - begin
        thread.join()
        assert len(waits) >= 5
        assert max(waits) < took / 2


def test_memo_makes_a_value_once_for_all_threads() -> None:
    made: list[int] = []
    gate = threading.Barrier(4)

    def make(key: int) -> tuple[int, ...]:
        made.append(key)
        return ()

    memo: Memo[int, tuple[int, ...]] = Memo(make, lock=threading.RLock(), keep=2)

    def ask(_: int) -> tuple[int, ...]:
        gate.wait(5)
        return memo(1)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [()] * 4
    assert made == [1]
    memo(2), memo(3), memo(1)
    assert made == [1, 2, 3, 1]
    memo.pin(9, (9,))
    memo(4), memo(5), memo(6)
    assert memo(9) == (9,)
    assert memo.pinned == (9,)


# ---------------------------------------------------------------- the truth in lines


@pytest.mark.parametrize("feed", WINDOWS)
def test_lines_are_the_rows(busy: Client, feed: str) -> None:
    start, end = TODAY - 3 * DAY + 12_345, TODAY + HOUR + 1
    agent = {"lucko": "luckodemo", "hotroad": "hotroaddemo", "jdb": "jdbdemo", "vertexplay": "vertexplaydemo"}
    params = {"feed": feed, "agent": agent[feed.partition("_")[0]], "from": start, "to": end, "format": "lines"}
    response = busy.get("/_sim/truth/rows", params=params)
    assert response.headers["Content-Type"].startswith("application/x-ndjson")
    rows = [exact(line) for line in response.content.splitlines()]
    assert rows == busy.truth(feed, start, end)
    assert rows


def test_lines_of_a_million_rows_come_piece_by_piece(still: simulator.SimConfig) -> None:
    with simulator.serve(replace(still, agents=(BULK,))) as running:
        params = {"feed": "lucko_bets", "agent": BULK.agent_id, "from": START, "to": START + HOUR, "format": "lines"}
        begin = time.monotonic()
        with requests.get(f"{running.url}/_sim/truth/rows", params=params, stream=True, timeout=20) as response:
            first = next(response.iter_lines())
        assert time.monotonic() - begin < 2
        assert exact(first)["update_time"] >= START


def test_wrong_questions_about_the_truth(busy: Client) -> None:
    fixed = {"feed": "lucko_bets", "agent": LUCKO.agent_id, "from": START, "to": START + 1}
    for bend, status in (({"format": "xml"}, 400), ({"agent": "x", "format": "lines"}, 404), ({"feed": "x"}, 400)):
        assert busy.get("/_sim/truth/rows", params=fixed | bend).status_code == status
