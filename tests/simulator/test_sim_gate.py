"""Quota, call counts, faults and the control API over HTTP."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import requests
from sim_clients import DAY, HOTROAD, HOUR, JDB, LUCKO, MINUTE, NOW, SECOND, SMALL, TODAY, VERTEXPLAY, Client

import simulator
from simulator.ledger import CallLedger, OnceOnly

END = NOW // HOUR * HOUR - HOUR


def counts(client: Client, provider: str, endpoint: str) -> dict[str, Any]:
    [row] = [r for r in client.sim("calls") if (r["provider"], r["endpoint"]) == (provider, endpoint)]
    assert isinstance(row, dict)
    return row


# ---------------------------------------------------------------- quota


def test_each_endpoint_throttles_with_its_own_code(own: simulator.RunningServer) -> None:
    client = Client(own.url)
    assert client.bets(NOW - HOUR, NOW)["code"] == 200
    assert client.bets(NOW - HOUR, NOW) == {"code": 408004, "message": "API Frequency Limit"}
    assert client.rebates(TODAY, NOW)["code"] == 200
    assert client.rebates(TODAY, NOW)["code"] == 408004
    assert client.summary(END - HOUR, END).json()["code"] == "0000"
    throttled = client.summary(END - HOUR, END)
    assert (throttled.status_code, throttled.json()["code"]) == (200, "1004")
    assert client.daily("09-03-2026")["status"] == "0000"
    assert client.daily("09-03-2026")["status"] == "9019"
    assert client.betlogs(NOW - MINUTE, NOW).json()["code"] == 0
    assert client.betlogs(NOW - MINUTE, NOW).json()["code"] == 77
    assert client.auth().json()["code"] == 77
    for row in client.sim("calls"):
        assert (row["calls"], row["accepted"], row["throttled"], row["violations"]) == (2, 1, 1, 1)
        assert row["rejected"] == 0
        assert row["first_at"] == row["first_accepted_at"] == row["last_accepted_at"] <= row["last_at"]
        assert row["interval_ms"] == own.simulator.config.interval_ms(row["provider"], row["endpoint"]) >= 1000
    assert len(client.sim("calls")) == 6


def test_refused_callers_cost_no_quota_but_wrong_parameters_do(own: simulator.RunningServer) -> None:
    client = Client(own.url)
    for _ in range(3):
        assert client.bets(NOW - HOUR, NOW, sign="0" * 32)["code"] == 600100
    assert client.bets(NOW, NOW - HOUR)["code"] == 700401
    assert client.bets(NOW - HOUR, NOW)["code"] == 408004
    row = counts(client, "lucko", "bets")
    assert (row["calls"], row["rejected"], row["accepted"], row["throttled"]) == (5, 3, 1, 1)


def test_agents_have_quotas_of_their_own(still: simulator.SimConfig) -> None:
    agents = (LUCKO, replace(LUCKO, agent_id="second", conn_id=""))
    with simulator.serve(replace(still, agents=agents, quota_scale=1.0)) as server:
        client = Client(server.url)
        assert client.bets(NOW - HOUR, NOW)["code"] == 200
        assert client.bets(NOW - HOUR, NOW, agent_id="second")["code"] == 200
        assert client.bets(NOW - HOUR, NOW)["code"] == 408004


def test_the_interval_counts_from_the_last_accepted_call() -> None:
    key = ("lucko", "bets", "a")
    ledger = CallLedger(interval_ms=lambda *_: 5000.0)
    arrivals = [(0, True), (4999, False), (5000, True), (9999.9, False), (10_000, True)]
    assert [ledger.arrive(key, at_ms=at, wall=int(at)) for at, _ in arrivals] == [ok for _, ok in arrivals]
    lenient = CallLedger(interval_ms=lambda *_: 5000.0, allowance_ms=50)
    assert [lenient.arrive(key, at_ms=at, wall=0) for at in (0, 4949, 4950)] == [True, False, True]


def test_a_withdrawn_call_gives_its_quota_back() -> None:
    key = ("lucko", "bets", "a")
    ledger = CallLedger(interval_ms=lambda *_: 5000.0)
    assert ledger.arrive(key, at_ms=0, wall=100)
    assert ledger.arrive(key, at_ms=5000, wall=5100)
    ledger.withdraw(key, at_ms=5000)
    assert ledger.arrive(key, at_ms=5001, wall=5101)
    [row] = ledger.report()
    assert (row["accepted"], row["throttled"], row["violations"], row["last_accepted_at"]) == (2, 1, 0, 5101)
    assert row["first_accepted_at"] == 100


def test_a_withdrawn_call_may_be_a_rejected_one_and_an_earlier_one() -> None:
    key = ("jdb", "daily", "a")
    ledger = CallLedger(interval_ms=lambda *_: 0.0)
    assert ledger.arrive(key, at_ms=0, wall=100)
    ledger.withdraw(key, at_ms=0, rejected=True)
    [row] = ledger.report()
    assert (row["accepted"], row["rejected"], row["first_accepted_at"], row["last_accepted_at"]) == (0, 1, None, None)
    assert ledger.arrive(key, at_ms=1, wall=101)
    assert ledger.arrive(key, at_ms=2, wall=102)
    ledger.withdraw(key, at_ms=1)
    [row] = ledger.report()
    assert (row["accepted"], row["throttled"], row["last_accepted_at"]) == (1, 1, 102)


def test_without_an_interval_no_call_is_too_soon() -> None:
    """Calls that overlap may be judged in another order than they arrived in."""
    ledger = CallLedger(interval_ms=lambda *_: 0.0)
    assert [ledger.arrive(("a", "b", "c"), at_ms=at, wall=0) for at in (5, 4, 5, 3)] == [True] * 4
    strict = CallLedger(interval_ms=lambda *_: 1.0)
    assert [strict.arrive(("a", "b", "c"), at_ms=at, wall=0) for at in (5, 4, 6)] == [True, False, True]


def test_how_much_of_the_quota_was_used_can_be_computed() -> None:
    ledger = CallLedger(interval_ms=lambda *_: 1000.0)
    for at in range(0, 20_001, 1250):
        assert ledger.arrive(("a", "b", "c"), at_ms=at, wall=7_000 + at)
    [row] = ledger.report()
    span = row["last_accepted_at"] - row["first_accepted_at"]
    assert (row["accepted"] - 1) * row["interval_ms"] / span == 0.8


def test_quota_scale() -> None:
    config = simulator.SimConfig(quota_scale=0.1, quota=simulator.Quotas(jdb_daily=7))
    assert config.interval_ms("lucko", "bets") == 500
    assert config.interval_ms("jdb", "daily") == pytest.approx(700)


def test_once_only() -> None:
    short = OnceOnly(keep_ms=10)
    assert [short.first_use("a", b"n", at_ms=at) for at in (0, 10, 11)] == [True, False, True]
    assert short.first_use("b", b"n", at_ms=11)
    for_ever = OnceOnly()
    assert [for_ever.first_use("a", b"n", at_ms=at) for at in (0, 10**12)] == [True, False]


# ---------------------------------------------------------------- faults


def test_throttle_and_429_cost_no_quota(own: simulator.RunningServer) -> None:
    client = Client(own.url)
    client.fault(name="throttle", provider="lucko")
    client.fault(name="http_429", provider="lucko", seconds=2.5)
    assert client.bets(NOW - HOUR, NOW)["code"] == 408004
    response = client.get("/_sim/health")
    assert response.status_code == 200
    with pytest.raises(AssertionError):
        client.bets(NOW - HOUR, NOW)
    assert client.bets(NOW - HOUR, NOW)["code"] == 200
    row = counts(client, "lucko", "bets")
    assert (row["calls"], row["accepted"], row["throttled"], row["violations"]) == (3, 1, 2, 0)
    assert [one["fired"] for one in client.sim("faults")["active"]] == [1, 1]


def test_429_says_when_to_come_again(fast: Client) -> None:
    fast.fault(name="http_429", seconds=2.5)
    response = fast.summary(END - HOUR, END)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")


def test_bad_gateway_and_truncation(fast: Client) -> None:
    fast.fault(name="bad_gateway", next=2)
    for _ in range(2):
        response = fast.summary(END - HOUR, END)
        assert (response.status_code, response.headers["Content-Type"][:9]) == (502, "text/html")
    whole = fast.summary(END - HOUR, END).content
    number = fast.fault(name="truncated", endpoint="summary")
    cut = fast.summary(END - HOUR, END)
    assert cut.status_code == 200
    assert whole.startswith(cut.content)
    assert len(cut.content) < len(whole)
    with pytest.raises(requests.JSONDecodeError):
        cut.json()
    assert fast.fired(number) == 1
    assert fast.summary(END - HOUR, END).content == whole


def test_hang_answers_late_and_blocks_nobody(fast: Client) -> None:
    fast.fault(name="hang", seconds=0.3)
    begin = time.monotonic()
    assert fast.bets(NOW - HOUR, NOW)["code"] == 200
    assert time.monotonic() - begin >= 0.3
    fast.fault(name="hang", seconds=60)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            fast.url + "/api/get_transactions_summary",
            json={"agentId": HOTROAD.agent_id},
            auth=(HOTROAD.username, HOTROAD.password),
            timeout=0.2,
        )
    assert fast.sim("health")["status"] == "ok"


def test_reset_cuts_the_connection(fast: Client) -> None:
    number = fast.fault(name="reset", provider="jdb")
    with pytest.raises(requests.ConnectionError) as caught:
        fast.daily("09-03-2026")
    assert "reset" in str(caught.value).lower()
    assert fast.fired(number) == 1
    assert fast.daily("09-03-2026")["status"] == "0000"


def test_moved_rows_lose_one_between_pages(fast: Client) -> None:
    window = {"start_time": TODAY - DAY, "end_time": TODAY - DAY + HOUR, "page_size": 10}
    whole = fast.bets(TODAY - DAY, TODAY - DAY + HOUR)["data"]["transactions"]
    number = fast.fault(name="moved_rows")
    assert fast.bets(TODAY - DAY, TODAY - DAY + HOUR)["data"]["transactions"] == whole
    assert fast.fired(number) == 0
    pages = [fast.bets(**_split(window), start_index=n, page_size=10)["data"] for n in range(0, len(whole), 10)]
    assert fast.fired(number) == 1
    assert [page["total"] for page in pages] == [len(whole)] + [len(whole) - 1] * (len(pages) - 1)
    seen = [row for page in pages for row in page["transactions"]]
    assert seen == whole[:10] + whole[11:]
    moved = fast.bets(NOW - HOUR, NOW)["data"]["transactions"]
    assert whole[0]["id"] not in {row["id"] for row in moved}  # updated at NOW itself: in a later window
    fast.post("/_sim/clock", json={"advance_ms": SECOND})
    assert whole[0]["id"] in {row["id"] for row in fast.bets(NOW, NOW + 1)["data"]["transactions"]}


def _split(window: dict[str, int]) -> dict[str, int]:
    return {"start": window["start_time"], "end": window["end_time"]}


def test_an_expired_token_stays_unknown(fast: Client) -> None:
    assert fast.betlogs(NOW - MINUTE, NOW).json()["code"] == 0
    number = fast.fault(name="token_expired")
    assert fast.auth().json()["code"] == 0
    assert fast.betlogs(NOW - MINUTE, NOW).status_code == 401
    assert fast.betlogs(NOW - MINUTE, NOW).status_code == 401
    fast.tokens.clear()
    assert fast.betlogs(NOW - MINUTE, NOW).json()["code"] == 0
    assert fast.fired(number) == 1


def test_probability_repeats_and_filters_hold(still: simulator.SimConfig) -> None:
    wanted: dict[str, Any] = {"provider": "lucko", "endpoint": "bets", "agent": LUCKO.agent_id}
    spec = simulator.FaultSpec(name="throttle", probability=0.3, **wanted)
    runs = []
    for _ in range(2):
        with simulator.serve(replace(still, faults=(spec,), agents=SMALL)) as server:
            client = Client(server.url)
            runs.append([client.bets(NOW - HOUR, NOW, page_size=1)["code"] for _ in range(40)])
            assert client.rebates(TODAY, NOW)["code"] == 200
            assert client.fired(1) == runs[-1].count(408004)
    assert runs[0] == runs[1]
    assert 3 < runs[0].count(408004) < 25


def test_fault_control(fast: Client) -> None:
    first, second = fast.fault(name="throttle"), fast.fault(name="reset", next=9)
    assert fast.get("/_sim/faults").json()["kinds"]["reset"]
    assert fast.session.delete(f"{fast.url}/_sim/faults?id={first}", timeout=5).json() == {"cleared": 1}
    assert [one["id"] for one in fast.sim("faults")["active"]] == [second]
    assert fast.session.delete(f"{fast.url}/_sim/faults", timeout=5).json() == {"cleared": 1}
    wrongs: tuple[Any, ...] = ({"name": "nothing"}, {"name": "reset", "nxt": 1}, {"name": "reset", "next": 0}, {}, [])
    for wrong in wrongs:
        response = fast.post("/_sim/faults", json=wrong)
        assert response.status_code == 400
        assert response.json()["error"]
    assert fast.session.delete(f"{fast.url}/_sim/faults?id=x", timeout=5).status_code == 400


# ---------------------------------------------------------------- control


def test_truth_over_http(client: Client, server: simulator.RunningServer) -> None:
    rows = client.sim("truth/breaks", agent=LUCKO.agent_id, **{"from": TODAY, "to": TODAY + DAY})
    world = server.world.lucko[LUCKO.agent_id]
    kinds = {rebate.id: rebate.kind for rebate in world.dispatched(TODAY, NOW, as_of=NOW)}
    assert {row["rebate_id"]: row["kind"] for row in rows} == {i: kind for i, kind in kinds.items() if kind}
    assert set(rows[0]) == {
        *("rebate_id", "user_id", "date", "currency", "create_time", "kind", "reasons", "turnover"),
        *("rebate_amount", "overpaid"),
    }


def test_truth_rows_are_what_the_provider_serves(client: Client) -> None:
    def rows(feed: str, agent: str, start: int, end: int) -> Any:
        return client.sim("truth/rows", feed=feed, agent=agent, **{"from": start, "to": end})

    start = TODAY - DAY
    bets = client.bets(start, start + HOUR)["data"]["transactions"]
    assert rows("lucko_bets", LUCKO.agent_id, start, start + HOUR) == bets
    assert rows("lucko_rebates", LUCKO.agent_id, TODAY, NOW) == client.rebates(TODAY, NOW - 1)["data"]["list"]
    logs = client.betlogs(start, start + 10 * MINUTE).json()["data"]
    assert rows("vertexplay_betlogs", VERTEXPLAY.agent_id, start, start + 10 * MINUTE) == logs
    hour = rows("hotroad_summary", HOTROAD.agent_id, start, start + HOUR)
    assert {row.pop("hour") for row in hour} == {"2026-03-09T08+0800"}
    assert hour == client.summary(start, start + HOUR).json()["data"]["list"]
    noon = TODAY - DAY + 4 * HOUR  # 2026-03-09 12:00 in UTC+8
    day = rows("jdb_daily", JDB.agent_id, noon, noon + 1)
    assert {row["date"] for row in day} == {"09-03-2026"}
    for g_type in JDB.g_types:
        mine = [{k: v for k, v in row.items() if k not in ("date", "gType")} for row in day if row["gType"] == g_type]
        assert mine == client.daily("09-03-2026", g_type)["data"]
    assert rows("jdb_daily", JDB.agent_id, noon + 1, noon + 2) == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("truth/breaks?agent=nobody&from=1&to=2", 404),
        ("truth/breaks?agent=luckodemo&from=2&to=2", 400),
        ("truth/breaks?agent=luckodemo&from=2", 400),
        ("truth/breaks?agent=luckodemo&from=0&to=99999999999", 400),
        ("truth/rows?feed=nothing&agent=luckodemo&from=1&to=2", 400),
        ("truth/rows?feed=jdb_daily&agent=luckodemo&from=1&to=2", 404),
        ("truth/rows?feed=jdb_daily&agent=jdbdemo&from=yesterday&to=2", 400),
        ("truth/rows?feed=jdb_daily&agent=jdbdemo&from=2026-03-01&to=2026-03-02T00:00:00Z", 200),
        ("nothing", 404),
    ],
)
def test_control_errors(client: Client, path: str, status: int) -> None:
    assert client.get(f"/_sim/{path}").status_code == status


def test_clock(fast: Client) -> None:
    def move(**body: object) -> Any:
        response = fast.post("/_sim/clock", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    assert fast.sim("clock")["now"] == NOW
    assert move(advance_ms=HOUR)["now"] == NOW + HOUR
    assert fast.bets(NOW, NOW + HOUR)["code"] == 200
    assert move(freeze="2026-03-11T00:00:00Z") | {"wall": 0} == {"now": TODAY + DAY, "wall": 0, "frozen": True}
    running = move(run=True)
    assert not running["frozen"]
    assert running["now"] - (TODAY + DAY) < MINUTE
    assert move(advance_ms=-DAY)["now"] - TODAY < MINUTE
    assert move(freeze=True)["frozen"]
    wrongs: tuple[Any, ...] = ({"freeze": "x"}, {"advance_ms": 1.5}, {"stop": 1}, [])
    for wrong in wrongs:
        assert fast.post("/_sim/clock", json=wrong).status_code == 400


def test_an_offset_clock() -> None:
    with simulator.serve(simulator.SimConfig(clock_offset_ms=-30 * DAY)) as server:
        health = Client(server.url).sim("health")
        assert health["wall"] - health["now"] == 30 * DAY
        assert not health["frozen"]
        assert health["agents"]["lucko"] == ["luckodemo"]
