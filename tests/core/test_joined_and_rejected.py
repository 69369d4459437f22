"""Certificates of joined readings, and rows that are rejected because of what else came or is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import psycopg
import pytest
from test_merge_rows import START, bet, betlog, betlogs, bets, read_at, rebate, rebates, table

from readings import Reading
from tieout.core.clock import epoch_ms
from tieout.core.errors import SuspectReading
from tieout.core.load import load_reading
from tieout.core.rejects import MAX_KEPT, MAX_RAW_TEXT
from tieout.core.slices import Slice
from tieout.providers.lucko import Bet

Readings = type[Reading]
HOUR = timedelta(hours=1)


def hours(count: int) -> tuple[Slice, ...]:
    return tuple(Slice(START + n * HOUR, START + (n + 1) * HOUR) for n in range(count))


def joined(reading: Readings, *rows: dict[str, Any], total: int | None = None, minutes: int = 300) -> Reading:
    """One window over three slices of bets."""
    made = reading.of(
        "lucko", "bets", START, hours=3, slices=hours(3), kind="revisit",
        requested_at=START + timedelta(minutes=minutes),
    )  # fmt: skip
    reported = len(rows) if total is None else total
    return made.answer({"code": 200, "data": {"transactions": list(rows), "total": reported}})


def certificates(db: psycopg.Connection, columns: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM ops.readings WHERE kind = 'revisit' ORDER BY slice_start"
    return db.execute(query.encode()).fetchall()


def test_a_joined_reading_certifies_each_of_its_slices(reading: Readings, db: psycopg.Connection) -> None:
    bets(reading, 0, bet("a"), bet("b")).load()
    rows = [bet("a"), bet("b", updated=5, turnover="90"), bet("c", updated=7200), bet("d", updated=7201)]
    total = joined(reading, *rows).load()
    assert (total.rows, total.inserted, total.updated, total.unchanged) == (4, 2, 1, 1)
    assert certificates(db, "slice_start, state, rows, distinct_keys, inserted, updated, unchanged, reason") == [
        (START, "certified", 2, 2, 0, 1, 1, "joined_control_total"),
        (START + HOUR, "certified", 0, 0, 0, 0, 0, "no_activity"),
        (START + 2 * HOUR, "certified", 2, 2, 2, 0, 0, "joined_control_total"),
    ]
    # The total belongs to the window, which is wider than any of them.
    assert certificates(db, "reported_total_first, reported_total_last") == [(None, None)] * 3


def test_a_joined_reading_whose_total_is_wrong_certifies_none_of_its_slices(
    reading: Readings, db: psycopg.Connection
) -> None:
    with pytest.raises(SuspectReading, match="in 3 of 3 slices: the provider reported 9 rows, 2 distinct keys came"):
        joined(reading, bet("a"), bet("b", updated=7200), total=9).load()
    assert certificates(db, "state") == [("suspect",)] * 3


def test_a_reject_in_one_window_leaves_the_slices_of_the_others_certified(
    reading: Readings, db: psycopg.Connection
) -> None:
    made = reading.of(
        "hotroad", "summary", START, hours=3, slices=hours(3), kind="revisit", currency="USD", requested_at=read_at(300)
    )
    game = {"gameType": "L", "gameCode": "A", "betAmount": 1, "winLoss": 0, "winAmount": 1, "validBet": 1}
    for amount in (1, "nonsense", 3):
        made.answer({"code": "0000", "data": {"list": [{**game, "betAmount": amount}]}})
    with pytest.raises(SuspectReading, match="in 1 of 3 slices"):
        made.load()
    assert certificates(db, "state, rejected, inserted") == [
        ("certified", 0, 1), ("suspect", 1, 0), ("certified", 0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "value"),
    [("user_id", "u2"), ("game_id", "102"), ("currency", "EUR"), ("bet_time", epoch_ms(START) - 1)],
)
def test_an_immutable_field_that_changed_is_a_key_collision(
    reading: Readings, db: psycopg.Connection, changed: str, value: Any
) -> None:
    bets(reading, 0, bet("a"), bet("b")).load()
    before = table(db, "lucko_bets", "*")
    with pytest.raises(SuspectReading, match=r"1 row\(s\) broke the contract"):
        bets(reading, 5, {**bet("a", updated=9, turnover="1"), changed: value}, bet("b")).load()
    assert table(db, "lucko_bets", "*") == before
    assert table(db, "lucko_bet_versions", "id, status") == [("a", 1), ("b", 1)]
    found = db.execute("SELECT reason, natural_key, raw::jsonb ->> %s FROM ops.rejects", (changed,)).fetchall()
    assert found == [("key_collision", "a", str(value))]


def test_two_owners_of_one_key_in_one_reading_leave_the_first(reading: Readings, db: psycopg.Connection) -> None:
    made = reading.of("lucko", "bets", START, requested_at=read_at(0), page_time=timedelta(seconds=5))
    pages = [[bet("a")], [bet("a", updated=3, user_id="u2"), bet("b")]]
    made.answer(*({"code": 200, "data": {"transactions": page, "total": 2}} for page in pages))
    with pytest.raises(SuspectReading):
        made.load()
    assert table(db, "lucko_bets", "id, user_id") == [("a", "u1"), ("b", "u1")]
    assert db.execute("SELECT reason, page, row_number FROM ops.rejects").fetchall() == [
        ("key_collision", "page-00002.json.gz", 1)
    ]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda reading: rebates(reading, 5, rebate("r1", "b1", create_time=epoch_ms(START) + 1)), "lucko_rebates"),
        (lambda reading: betlogs(reading, 5, betlog("t1", seconds=6)), "vertexplay_betlogs"),
    ],
    ids=["rebates", "betlogs"],
)
def test_key_collisions_of_the_other_feeds(reading: Readings, db: psycopg.Connection, made: Any, expected: str) -> None:
    (
        rebates(reading, 0, rebate("r1", "b1")) if expected == "lucko_rebates" else betlogs(reading, 0, betlog("t1"))
    ).load()
    before = table(db, expected, "*")
    with pytest.raises(SuspectReading):
        made(reading).load()
    assert table(db, expected, "*") == before
    assert db.execute("SELECT reason FROM ops.rejects").fetchall() == [("key_collision",)]


def test_of_duplicates_on_two_pages_the_later_one_stays(reading: Readings, db: psycopg.Connection) -> None:
    made = reading.of("lucko", "bets", START, requested_at=read_at(0), page_time=timedelta(seconds=5))
    pages = [[bet("a"), bet("b", turnover="1")], [bet("b", turnover="2"), bet("c")]]
    made.answer(*({"code": 200, "data": {"transactions": page, "total": 3}} for page in pages))
    with pytest.raises(SuspectReading, match=r"1 row\(s\) broke the contract"):
        made.load()
    assert table(db, "lucko_bets", "id, valid_bet_turnover::text") == [("a", "100"), ("b", "2"), ("c", "100")]
    assert db.execute("SELECT reason, page, row_number FROM ops.rejects").fetchall() == [
        ("duplicate_key", "page-00001.json.gz", 2)
    ]


class OlderBet(Bet, frozen=True):
    """The contract of a tieout that knew fewer statuses."""

    status: Annotated[int, msgspec.Meta(le=1)]


def test_a_reject_that_a_newer_tieout_understands_is_certified_by_a_replay(
    reading: Readings, db: psycopg.Connection
) -> None:
    made = bets(reading, 0, bet("a"), bet("b", status=4))
    path = made.land()
    with pytest.raises(SuspectReading):
        load_reading(made.warehouse, replace(made.feed, row=OlderBet), path, path.parent)
    assert db.execute("SELECT state, kind, inserted FROM ops.readings").fetchall() == [("suspect", "first", 1)]
    certificate = load_reading(made.warehouse, made.feed, path, path.parent, kind="replay")
    assert (certificate.state, certificate.inserted, certificate.unchanged) == ("certified", 1, 1)
    assert table(db, "lucko_bets", "id, status") == [("a", 1), ("b", 4)]
    assert db.execute("SELECT count(*) FROM ops.rejects").fetchone() == (0,)
    assert db.execute("SELECT state, kind, inserted, rejected FROM ops.readings").fetchall() == [
        ("certified", "replay", 2, 0)
    ]


def test_rejects_beyond_a_bound_keep_their_keys_only(reading: Readings, db: psycopg.Connection) -> None:
    rows = [bet(f"b{number}", status="bad") for number in range(MAX_KEPT + 5)]
    with pytest.raises(SuspectReading, match=rf"{MAX_KEPT + 5} row\(s\) broke the contract"):
        bets(reading, 0, *rows).load()
    assert db.execute(
        "SELECT count(DISTINCT natural_key), count(*) FILTER (WHERE raw <> ''), count(*) FILTER (WHERE detail <> '') "
        "FROM ops.rejects"
    ).fetchone() == (MAX_KEPT + 5, MAX_KEPT, MAX_KEPT)
    assert db.execute("SELECT rejected FROM ops.readings").fetchone() == (MAX_KEPT + 5,)


def test_the_key_of_a_row_is_taken_from_all_of_it(reading: Readings, db: psycopg.Connection) -> None:
    long = {"bet_detail": {"x" * (MAX_RAW_TEXT + 1): 1}} | bet("b", status="bad")
    with pytest.raises(SuspectReading):
        bets(reading, 0, long).load()
    kept = db.execute("SELECT natural_key, length(raw) FROM ops.rejects").fetchall()
    assert kept == [("b", MAX_RAW_TEXT)]
