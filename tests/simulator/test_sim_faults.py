"""Faults of the answer: each kind does what its line says, once for each turn, and leaves the world as it is."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import requests
from sim_clients import AGENT_IDS, LUCKO, NOW, SMALL, WINDOWS, Client, rows_of

import simulator
from simulator.faults import KINDS
from simulator.faults.rows import MALFORMS

FEEDS = tuple(WINDOWS)
AMOUNTS = {
    "lucko_bets": "bet_amount",
    "lucko_rebates": "rebate_amount",
    "hotroad_summary": "betAmount",
    "jdb_daily": "bet",
    "vertexplay_betlogs": "actualBetAmt",
}


@pytest.fixture(scope="module")
def standing(still: simulator.SimConfig) -> Iterator[simulator.RunningServer]:
    with simulator.serve(replace(still, agents=SMALL)) as running:
        yield running


@pytest.fixture
def shared(standing: simulator.RunningServer) -> Iterator[Client]:
    """A caller of one server for all tests: faults of the answer leave nothing behind once they are off."""
    client = Client(standing.url)
    yield client
    client.session.close()
    assert client.session.delete(f"{standing.url}/_sim/faults", timeout=5).status_code == 200


def body(response: requests.Response) -> bytes:
    assert response.status_code == 200
    return response.content


def total(feed: str, response: requests.Response) -> int | None:
    data = response.json()["data"]
    return data.get("total") if isinstance(data, dict) else None


# ---------------------------------------------------------------- inside of a right answer


@pytest.mark.parametrize("feed", FEEDS)
def test_late_rows_come_with_the_next_answer(shared: Client, feed: str) -> None:
    whole, truth = shared.rows(feed), shared.truth(feed)
    number = shared.fault(name="late_rows", share=0.3)
    response = shared.ask(feed)
    rows = rows_of(feed, body(response))
    assert len(whole) - len(rows) == max(1, round(len(whole) * 0.3))
    assert rows == [row for row in whole if row in rows]
    assert total(feed, response) in (None, len(rows))
    assert shared.fired(number) == 1
    assert shared.rows(feed) == whole
    assert shared.truth(feed) == truth


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("variant", ["same", "different"])
def test_duplicate_rows(shared: Client, feed: str, variant: str) -> None:
    whole = shared.rows(feed)
    number = shared.fault(name="duplicate_rows", variant=variant, share=0.01)
    response = shared.ask(feed)
    rows = rows_of(feed, body(response))
    assert len(rows) == len(whole) + max(1, round(len(whole) * 0.01))
    assert total(feed, response) in (None, len(whole))
    n = next((n for n, row in enumerate(whole) if rows[n] != row), len(whole))
    first, again, field = rows[n - 1], rows[n], AMOUNTS[feed]
    assert {key: value for key, value in again.items() if key != field} == {
        key: value for key, value in first.items() if key != field
    }
    assert type(again[field]) is type(first[field]) or not isinstance(first[field], str)
    assert Decimal(again[field]) - Decimal(first[field]) == (0 if variant == "same" else 1)
    assert shared.fired(number) == 1
    assert shared.rows(feed) == whole


@pytest.mark.parametrize("feed", FEEDS)
def test_unknown_fields(shared: Client, feed: str) -> None:
    whole = shared.rows(feed)
    shared.fault(name="unknown_fields", share=1)
    rows = rows_of(feed, body(shared.ask(feed)))
    assert [{key: row[key] for key in right} for row, right in zip(rows, whole, strict=True)] == whole
    unknown = [value for row, right in zip(rows, whole, strict=True) for key, value in row.items() if key not in right]
    assert len(unknown) >= len(whole)
    assert any(isinstance(value, dict) for value in unknown)
    assert shared.rows(feed) == whole


@pytest.mark.parametrize("feed", FEEDS)
def test_malformed_rows_spoil_their_share_and_nothing_else(shared: Client, feed: str) -> None:
    whole = shared.rows(feed)
    variants = [*MALFORMS, "not_an_object"]
    if feed in ("hotroad_summary", "jdb_daily"):  # their rows tell no instant
        variants = [name for name in variants if "instant" not in name]
    for variant in variants:
        number = shared.fault(name="malformed_rows", variant=variant, share=0.01)
        rows = rows_of(feed, body(shared.ask(feed)))
        assert shared.fired(number) == 1, variant
        spoiled = [(row, right) for row, right in zip(rows, whole, strict=True) if str(row) != str(right)]
        assert len(spoiled) == max(1, round(len(whole) * 0.01)), variant
        for row, right in spoiled:
            fields = [key for key in right if str(row.get(key)) != str(right[key])] if isinstance(row, dict) else [""]
            assert len(fields) == 1, variant
    assert shared.rows(feed) == whole


def test_malformed_rows_are_what_their_names_say(shared: Client) -> None:
    def text(variant: str) -> str:
        shared.fault(name="malformed_rows", variant=variant)
        return body(shared.ask("lucko_bets")).decode()

    assert '"bet_amount":NaN' in text("nan")
    assert "\\u0000" in text("nul_text")
    assert '"bet_time":-1' in text("negative_instant")
    assert "\\ud83d" in text("lone_surrogate")
    assert '"bet_amount":1e999999' in text("huge_amount")
    assert '"id":""' in text("empty_id")


def test_malformed_rows_draw_a_way_for_each_call(shared: Client) -> None:
    shared.fault(name="malformed_rows", probability=1, share=0.01)
    answers = {shared.ask("lucko_bets").content for _ in range(12)}
    assert len(answers) > 8


@pytest.mark.parametrize("feed", ["lucko_bets", "lucko_rebates"])
def test_dropped_total(shared: Client, feed: str) -> None:
    whole = shared.ask(feed).json()
    number = shared.fault(name="dropped_total", provider="lucko")
    bare = shared.ask(feed).json()
    assert whole["data"].pop("total") > 0
    assert bare == whole
    assert shared.fired(number) == 1
    assert "total" in shared.ask(feed).json()["data"]


def test_faults_of_rows_keep_their_turn_while_there_are_none(shared: Client) -> None:
    number = shared.fault(name=["late_rows", "duplicate_rows", "unknown_fields", "malformed_rows"], provider="lucko")
    assert shared.bets(NOW - 1, NOW)["data"]["total"] == 0
    assert shared.bets(NOW, NOW - 1)["code"] == 700401
    [active] = shared.sim("faults")["active"]
    assert (active["left"], active["fired"]) == (1, 0)
    shared.ask("lucko_bets")
    assert shared.fired(number) == 1


# ---------------------------------------------------------------- around the answer


@pytest.mark.parametrize("feed", FEEDS)
def test_gzip_whatever_the_client_accepts(shared: Client, feed: str) -> None:
    whole = shared.rows(feed)
    shared.fault(name="gzip", endpoint=feed.partition("_")[2])
    response = shared.ask(feed, stream=True)
    response.raw.decode_content = False
    wire = response.raw.read()
    assert response.headers["Content-Encoding"] == "gzip"
    assert rows_of(feed, zlib.decompress(wire, zlib.MAX_WBITS | 16)) == whole


def test_gzip_of_a_short_answer_nobody_asked_for(shared: Client) -> None:
    shared.session.headers["Accept-Encoding"] = "identity"
    assert "Content-Encoding" not in shared.ask("lucko_bets").headers
    shared.fault(name="gzip")
    response = shared.get(
        "/api/promo/rebate/bill?" + shared.signed({"time_start": 0, "time_end": 1, "start": 0, "count": 1})
    )
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.json()["data"]["total"] == 0


def test_redirect_and_html(shared: Client) -> None:
    shared.fault(name="redirect")
    response = shared.ask("jdb_daily")
    assert (response.status_code, response.headers["Location"]) == (302, "http://169.254.169.254/")
    shared.fault(name="redirect", location="https://elsewhere.example/x")
    assert shared.ask("hotroad_summary").headers["Location"] == "https://elsewhere.example/x"
    shared.fault(name="html_200")
    response = shared.ask("lucko_rebates")
    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    assert response.text.startswith("<html>")


SIZE = 48 * 1024 * 1024


@pytest.mark.parametrize("variant", ["plain", "bomb"])
def test_oversize_bodies_are_streamed(shared: Client, variant: str) -> None:
    number = shared.fault(name="oversize", variant=variant, size=SIZE)
    with shared.ask("lucko_bets", stream=True) as response:
        assert response.status_code == 200
        wire = sum(len(piece) for piece in response.raw.stream(1 << 16, decode_content=False))
    assert shared.fired(number) == 1
    shared.fault(name="oversize", variant=variant, size=SIZE)
    with shared.ask("lucko_bets", stream=True) as response:
        decoded = sum(len(piece) for piece in response.iter_content(1 << 16))
    assert decoded == SIZE
    assert wire == SIZE if variant == "plain" else wire < SIZE / 500


def test_a_client_may_leave_an_oversize_body(shared: Client, capfd: pytest.CaptureFixture[str]) -> None:
    for variant in ("plain", "bomb"):
        shared.fault(name="oversize", variant=variant)
        with shared.ask("hotroad_summary", stream=True) as response:
            assert response.raw.read(10)
        shared.session.close()
    assert shared.rows("hotroad_summary")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("feed", "code"),
    [("lucko_bets", 408000), ("lucko_rebates", 408000), ("jdb_daily", "9005"), ("vertexplay_betlogs", 83)],
)
@pytest.mark.parametrize("skew", [3600.0, -3600.0])
def test_clock_skew_refuses_the_timestamp(fast: Client, feed: str, code: object, skew: float) -> None:
    whole = fast.rows(feed)
    number = fast.fault(name="clock_skew", skew_seconds=skew, endpoint=feed.partition("_")[2])
    answer = fast.ask(feed).json()
    assert answer.get("code", answer.get("status")) == code
    assert fast.fired(number) == 1
    assert fast.rows(feed) == whole
    [row] = [row for row in fast.sim("calls") if f"{row['provider']}_{row['endpoint']}" == feed]
    assert (row["accepted"], row["rejected"], row["throttled"]) == (2, 1, 0)


def test_a_small_clock_skew_is_tolerated(shared: Client) -> None:
    number = shared.fault(name="clock_skew", skew_seconds=20, provider="jdb", probability=1)
    assert shared.rows("jdb_daily") == shared.rows("jdb_daily")
    assert shared.fired(number) == 0
    shared.fault(name="clock_skew", provider="vertexplay", endpoint="auth")
    assert shared.auth().json()["code"] == 83


# ---------------------------------------------------------------- several kinds at once


def outcomes(client: Client, calls: int) -> list[Any]:
    """What `calls` calls of two feeds met, as far as a client can see."""
    seen: list[Any] = []
    for n in range(calls):
        try:
            response = client.ask(("lucko_bets", "hotroad_summary")[n % 2])
            seen.append((response.status_code, response.headers.get("Content-Encoding"), response.content))
        except requests.RequestException as error:
            seen.append(type(error).__name__)
    return seen


def chaos(**bend: Any) -> simulator.FaultSpec:
    return simulator.FaultSpec(**({"name": "any_answer", "probability": 0.2, "seconds": 0.0, "size": 1000} | bend))


def test_a_share_of_the_calls_meets_one_of_many_kinds(still: simulator.SimConfig) -> None:
    runs, counts = [], []
    for spec in (chaos(), chaos(), chaos(seed=99)):
        with simulator.serve(replace(still, agents=SMALL, faults=(spec,))) as server:
            client = Client(server.url)
            before = {feed: client.truth(feed) for feed in FEEDS}
            runs.append(outcomes(client, 200))
            assert {feed: client.truth(feed) for feed in FEEDS} == before
            report = client.sim("faults")
            counts.append(report["fired"]["by_kind"])
            assert report["fired"]["total"] == sum(report["fired"]["by_kind"].values()) == report["active"][0]["fired"]
            client.session.delete(f"{server.url}/_sim/faults", timeout=5)
            assert client.sim("faults")["fired"] == report["fired"]
            assert client.sim("faults")["active"] == []
    right = Counter(map(str, runs[0])).most_common(2)
    assert 25 <= sum(counts[0].values()) <= 55
    assert sum(count for _, count in right) >= 200 - 55
    assert len(counts[0]) >= 9
    assert set(counts[0]) <= {kind.name for kind in KINDS.values() if not kind.changes_world}
    assert runs[0] == runs[1]
    assert counts[0] == counts[1]
    assert runs[0] != runs[2]


def test_a_call_meets_the_next_kind_when_one_cannot_take_effect(shared: Client) -> None:
    number = shared.fault(name=["dropped_total", "late_rows", "http_429"], next=12)
    for _ in range(12):
        shared.summary(NOW, NOW)  # an error: only http_429 can take effect
    [active] = shared.sim("faults")["active"]
    assert (active["id"], active["left"], active["by_kind"]) == (number, 0, {"http_429": 12})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": []},
        {"name": ["reset", "nothing"]},
        {"name": "reset", "variant": "loud"},
        {"name": "late_rows", "share": 0},
        {"name": "late_rows", "share": 1.5},
        {"name": "hang", "seconds": 121},
        {"name": "redirect", "location": "http://x/\r\nX: y"},
        {"name": "oversize", "size": 0},
        {"name": "reset", "seed": "one"},
    ],
)
def test_wrong_faults_are_refused(shared: Client, wrong: dict[str, object]) -> None:
    response = shared.post("/_sim/faults", json=wrong)
    assert response.status_code == 400
    assert response.json()["error"]
    assert shared.sim("faults")["active"] == []


def test_every_kind_says_whether_it_changes_the_world(fast: Client) -> None:
    docs = fast.sim("faults")["kinds"]
    assert set(docs) == set(KINDS)
    for name, doc in docs.items():
        assert doc.startswith("changes the world: " if KINDS[name].changes_world else "answer only: ")


def test_one_agents_faults_leave_the_others_alone(still: simulator.SimConfig) -> None:
    agents = (*SMALL, replace(LUCKO, agent_id="second", conn_id=""))
    with simulator.serve(replace(still, agents=agents)) as server:
        client = Client(server.url)
        number = client.fault(name="any", probability=1, agent="second", seconds=0, size=1000)
        assert client.rows("lucko_bets") == client.truth("lucko_bets")
        assert client.fired(number) == 0
    assert AGENT_IDS["lucko_bets"] != "second"
