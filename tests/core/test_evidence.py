"""What counts as evidence: colliding keys, readings that cover others, game types that were never read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL
from test_certificates import declared
from test_merge_rows import START, bet, betlog, betlogs, bets, game, read_at, rebate, rebates, summary, table

from readings import Reading, at
from tieout.core.errors import SuspectReading
from tieout.core.feed import FeedOptions
from tieout.core.ledger import declare
from tieout.core.pull import PullPlan, _widened
from tieout.core.warehouse import connect
from tieout.providers import feed_spec

Readings = type[Reading]
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "collide",
    [
        lambda reading: betlogs(reading, 0, betlog("t1", win="1.000000"), betlog("t1", win="500.000000")),
        lambda reading: summary(reading, 0, game("BACCARAT", "10.0"), game("BACCARAT", "990.0")),
        lambda reading: rebates(reading, 0, rebate("r1", "b1"), rebate("r1", "b1", amount="2.00")),
    ],
    ids=["vertexplay", "hotroad", "rebates"],
)
def test_one_key_with_two_contents_in_one_answer_is_rejected(
    reading: Readings, db: psycopg.Connection, collide: Any
) -> None:
    made = collide(reading)
    # The control total, where there is one, would agree: it counts keys.
    if made.feed.name == "rebates":
        made.edit(lambda answer: answer["data"].update(total=1))
    with pytest.raises(SuspectReading, match=r"2 row\(s\) broke the contract"):
        made.load()
    # Nothing tells which of the two is right: neither is stored, both are kept as evidence.
    assert db.execute("SELECT reason, count(DISTINCT raw) FROM ops.rejects GROUP BY 1").fetchall() == [
        ("duplicate_key", 2)
    ]
    assert table(db, made.feed.table.name, "agent, agent") == []


def test_the_same_row_twice_in_one_answer_is_no_collision(reading: Readings) -> None:
    assert betlogs(reading, 0, betlog("t1"), betlog("t1")).load().state == "certified"


def test_a_suspect_newer_reading_hides_nothing_of_a_complete_older_one(
    reading: Readings, db: psycopg.Connection
) -> None:
    newer = summary(reading, 5, game("A"), {**game("B"), "betAmount": "nonsense"})
    with pytest.raises(SuspectReading):
        newer.load()
    assert summary(reading, 0, game("A"), game("B")).load().inserted == 1
    assert [code for (code, _) in table(db, "hotroad_summary", "game_code, retired_at")] == ["A", "B"]


@pytest.mark.parametrize("order", ["older first", "newer first"])
def test_readings_that_overlap_in_time_end_the_same_in_any_order(
    reading: Readings, db: psycopg.Connection, order: str
) -> None:
    # The first reading's only answer came after the second one had begun, and before its own.
    long_reading = bets(reading, 10, bet("a", turnover="22"))
    long_reading.land()
    other = bets(reading, 8, bet("a", turnover="11"))
    readings = [long_reading, other] if order == "older first" else [other, long_reading]
    for made in readings:
        made.load()
    assert table(db, "lucko_bets", "id, valid_bet_turnover") == [("a", 22)]


def daily(reading: Readings, minutes: int, g_types: tuple[str, ...], *answers: list[str]) -> Reading:
    made = reading.of(
        "jdb", "daily", at(2026, 2, 26, 4), hours=24, currency="RMB", g_types=g_types, requested_at=read_at(minutes)
    )
    for uids in answers:
        rows = [{"uid": uid, "bet": -1, "win": 1, "netWin": 0, "validBet": -1} for uid in uids]
        made.answer({"status": "0000", "data": rows})
    return made


def test_a_newer_reading_of_fewer_game_types_does_not_cover_the_rest(reading: Readings, db: psycopg.Connection) -> None:
    daily(reading, 5, ("0",), ["p"]).load()
    daily(reading, 0, ("0", "7"), ["p"], ["q"]).load()
    assert table(db, "jdb_daily", "g_type, uid") == [("0", "p"), ("7", "q")]


def test_a_game_type_declared_later_makes_its_slices_missing_again(reading: Readings, db: psycopg.Connection) -> None:
    def status() -> str:
        (found,) = db.execute("SELECT status FROM ops.slice_status").fetchall()
        return str(found[0])

    feed = declared(
        provider="jdb", feed="daily", currency="RMB", start_at=at(2026, 2, 26, 4), stop_at=at(2026, 2, 27, 4),
        slice_width=DAY, slice_anchor=timedelta(hours=4), reach=None, g_types=["0"],
    )  # fmt: skip
    declare(db, [feed], {})
    daily(reading, 0, ("0",), ["p"]).load()
    assert status() == "certified"
    declare(db, [declared(**{**feed.__dict__, "g_types": ["0", "7"]})], {})
    assert status() == "missing"
    daily(reading, 5, ("0", "7"), ["p"], []).load()
    assert status() == "certified"


def test_what_several_loads_of_a_suspect_reading_wrote_adds_up(reading: Readings, db: psycopg.Connection) -> None:
    made = bets(reading, 0, bet("a"), bet("b")).edit(lambda answer: answer["data"].update(total=3))
    for _ in range(2):
        with pytest.raises(SuspectReading):
            made.load()
    assert db.execute("SELECT inserted, unchanged, state FROM ops.readings").fetchall() == [(2, 2, "suspect")]


def test_links_are_counted_once_when_a_rebate_comes_twice(reading: Readings, db: psycopg.Connection) -> None:
    made = rebates(reading, 0, rebate("r1", "b1"), rebate("r1", "b1"))
    made.edit(lambda answer: answer["data"].update(total=1)).load()
    assert table(db, "lucko_rebate_bets", "rebate_id, bet_id, times") == [("r1", "b1", 1)]


@pytest.mark.parametrize(("declared_seconds", "widened_seconds"), [(5, 30), (0.2, 1.2), (30, 30), (60, 60)])
def test_widening_never_slows_an_agent_that_is_slow_already(declared_seconds: float, widened_seconds: float) -> None:
    plan = PullPlan(
        feed=feed_spec("lucko", "bets"), agent="acme", slice=bets_slice(), options=FeedOptions(),
        interval=timedelta(seconds=declared_seconds), lag=timedelta(0),
    )  # fmt: skip
    assert _widened(plan) == timedelta(seconds=widened_seconds)


def bets_slice() -> Any:
    return Reading.of("lucko", "bets", START).slice


def test_a_connection_may_bring_options_of_its_own(warehouse: URL) -> None:
    with connect(warehouse.update_query_dict({"options": "-c statement_timeout=1234"})) as connection:
        shown = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in ("statement_timeout", "timezone")]
    assert shown == [("1234ms",), ("UTC",)]
