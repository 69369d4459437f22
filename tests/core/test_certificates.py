"""Certificates: what a reading proves, who may contradict it, and what the ledger says about coverage."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL
from test_merge_rows import START, bet, bets, read_at, rebate, rebates, summary

from demo.postgres import EmbeddedPostgres
from readings import Reading, at
from tieout.core.errors import FatalError, IdentityChanged, SuspectReading, Unreachable
from tieout.core.landing import read_manifest
from tieout.core.ledger import DeclaredFeed, declare, record_landed, unsettled_slices
from tieout.core.load import load_reading
from tieout.core.slices import Slice
from tieout.core.warehouse import connect
from tieout.providers import feed_spec

HOUR = timedelta(hours=1)
Readings = type[Reading]


def declared(**changes: Any) -> DeclaredFeed:
    fields: dict[str, Any] = {
        "provider": "lucko", "agent": "acme", "feed": "bets", "currency": None, "start_at": at(2026, 3, 1),
        "stop_at": None, "slice_width": HOUR, "slice_anchor": timedelta(0), "lag": timedelta(0),
        "reach": timedelta(days=90), **changes,
    }  # fmt: skip
    return DeclaredFeed(**fields)


def one(db: psycopg.Connection, query: str) -> tuple[Any, ...]:
    found = db.execute(query.encode()).fetchall()
    assert len(found) == 1
    return found[0]


# -- one reading ------------------------------------------------------------------------------------------------


def test_every_field_of_a_certificate(reading: Readings, db: psycopg.Connection) -> None:
    bets(reading, 0, bet("a"), bet("b")).load()
    made = reading.of("lucko", "bets", START, requested_at=read_at(5), kind="revisit", merchant_id="agent001")
    pages = [[bet("a"), bet("b", updated=3, turnover="90")], [bet("c"), bet("d", status="bad")]]
    made.answer(*({"code": 200, "data": {"transactions": page, "total": 4}} for page in pages))
    with pytest.raises(SuspectReading) as caught:
        made.load()
    assert made.manifest is not None
    manifest = read_manifest(made.manifest)
    with db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        cursor.execute("SELECT * FROM ops.readings WHERE kind = 'revisit'")
        row = cursor.fetchone()
    assert row is not None
    loaded_at = row.pop("loaded_at")
    assert abs(datetime.now(UTC) - loaded_at) < timedelta(minutes=1)
    assert row == {
        "reading_id": manifest.reading_id, "provider": "lucko", "feed": "bets", "agent": "acme",
        "slice_start": START, "slice_end": START + HOUR, "kind": "revisit", "state": "suspect", "pages": 2,
        "rows": 4, "distinct_keys": 3, "reported_total_first": 4, "reported_total_last": 4, "inserted": 1,
        "updated": 1, "unchanged": 1, "retired": 0, "rejected": 1, "landing_uri": str(made.manifest),
        "sha256": manifest.sha256, "g_types": [], "pulled_at": read_at(5), "finished_at": read_at(5),
        "reason": "1 row(s) broke the contract, see ops.rejects",
    }  # fmt: skip
    assert manifest.reading_id in str(caught.value)
    assert "The rows that came are kept." in str(caught.value)


@pytest.mark.parametrize(
    ("totals", "state", "reason"),
    [
        ([2], "certified", None),
        ([None], "certified", "no_control_total"),
        ([3], "suspect", "the provider reported 3 rows, 2 distinct keys came"),
        ([1], "suspect", "the provider reported 1 rows, 2 distinct keys came"),
    ],
)
def test_control_total(
    reading: Readings, db: psycopg.Connection, totals: list[int | None], state: str, reason: str | None
) -> None:
    made = reading.of("lucko", "bets", START, requested_at=read_at(0))
    made.answer(*({"code": 200, "data": {"transactions": [bet("a"), bet("b")], "total": total}} for total in totals))
    if state == "suspect":
        with pytest.raises(SuspectReading, match=reason):
            made.load()
    else:
        made.load()
    assert one(db, "SELECT state, reason FROM ops.readings") == (state, reason)
    assert one(db, "SELECT count(*) FROM staging.lucko_bets") == (2,)


def test_total_that_some_windows_lack_is_suspect(reading: Readings, db: psycopg.Connection) -> None:
    made = reading.of("lucko", "bets", START, hours=24, requested_at=read_at(60 * 30))
    made.answer({"code": 200, "data": {"transactions": [bet("a")], "total": 1}})
    made.answer({"code": 200, "data": {"transactions": [bet("b")]}})
    with pytest.raises(SuspectReading, match="control total for some windows of the slice only"):
        made.load()
    assert one(db, "SELECT count(*) FROM staging.lucko_bets") == (2,)


def test_empty_answer_is_certified(reading: Readings, db: psycopg.Connection) -> None:
    assert bets(reading, 0).load().reason == "no_activity"
    assert one(db, "SELECT state, rows, distinct_keys FROM ops.readings") == ("certified", 0, 0)


def test_problem_of_the_pull_makes_the_reading_suspect(reading: Readings, db: psycopg.Connection) -> None:
    with pytest.raises(SuspectReading, match="the total moved") as caught:
        bets(reading, 0, bet("a"), problem="the total moved").load()
    assert not caught.value.retryable
    assert one(db, "SELECT state, reason, inserted FROM ops.readings") == ("suspect", "the total moved", 1)


def test_later_suspect_reading_revokes_nothing(reading: Readings, db: psycopg.Connection) -> None:
    declare(db, [declared(start_at=START, stop_at=START + HOUR)], {})
    bets(reading, 0, bet("a")).load()
    with pytest.raises(SuspectReading):
        bets(reading, 5, bet("a"), problem="moved").load()
    assert db.execute("SELECT state FROM ops.readings ORDER BY pulled_at").fetchall() == [("certified",), ("suspect",)]
    assert one(db, "SELECT status FROM ops.slice_status") == ("certified",)


def test_reading_of_another_feed_is_refused(reading: Readings, db: psycopg.Connection) -> None:
    path = bets(reading, 0, bet("a")).land()
    with pytest.raises(FatalError, match="is of lucko bets, not of lucko rebates"):
        load_reading(reading.warehouse, feed_spec("lucko", "rebates"), path, path.parent)
    assert one(db, "SELECT count(*) FROM ops.readings") == (0,)


def test_damaged_page_loads_nothing(reading: Readings, db: psycopg.Connection) -> None:
    made = bets(reading, 0, bet("a"))
    path = made.land()
    (path.parent / "page-00001.json.gz").unlink()
    with pytest.raises(FatalError, match="cannot read"):
        made.load()
    assert one(db, "SELECT count(*) FROM ops.readings") == (0,)
    assert one(db, "SELECT count(*) FROM ops.loads") == (0,)


def test_lost_warehouse_is_retried(reading: Readings, postgres: EmbeddedPostgres) -> None:
    path = bets(reading, 0, bet("a")).land()
    with pytest.raises(Unreachable) as caught:
        load_reading(postgres.url("no_such_database"), feed_spec("lucko", "bets"), path, path.parent)
    assert caught.value.retryable


# -- identity ---------------------------------------------------------------------------------------------------


def test_change_of_merchant_is_refused(reading: Readings, db: psycopg.Connection) -> None:
    declare(db, [declared(), declared(feed="rebates", reach=None)], {})
    bets(reading, 0, bet("a"), merchant_id="m1").load()
    assert one(db, "SELECT merchant_id FROM ops.agents WHERE feed = 'bets'") == ("m1",)
    with pytest.raises(IdentityChanged, match="agent acme was read as merchant 'm1' so far, this reading is of 'm2'"):
        bets(reading, 5, bet("b"), merchant_id="m2").load()
    assert [row[0] for row in db.execute("SELECT id FROM staging.lucko_bets")] == ["a"]
    assert one(db, "SELECT merchant_id FROM ops.agents WHERE feed = 'bets'") == ("m1",)
    assert one(db, "SELECT count(*) FROM ops.readings") == (1,)
    bets(reading, 9, bet("c"), merchant_id="m1").load()


def test_declaring_again_keeps_the_merchant_and_writes_nothing(reading: Readings, db: psycopg.Connection) -> None:
    declare(db, [declared()], {("lucko", "acme"): {"timezone": "UTC"}})
    bets(reading, 0, bet("a"), merchant_id="m1").load()
    query = "SELECT xmin::text, merchant_id, slice_width FROM ops.agents"
    before = one(db, query), one(db, "SELECT xmin::text, reconciliation FROM ops.config")
    declare(db, [declared()], {("lucko", "acme"): {"timezone": "UTC"}})
    assert (one(db, query), one(db, "SELECT xmin::text, reconciliation FROM ops.config")) == before
    declare(db, [declared(slice_width=2 * HOUR)], {})
    assert one(db, query)[1:] == ("m1", 2 * HOUR)


# -- at the same time -------------------------------------------------------------------------------------------


def together(*works: Any) -> list[Any]:
    """Run all at once and return their results; an exception is a result too."""
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = works[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_same_reading_loaded_twice_at_once(reading: Readings, db: psycopg.Connection) -> None:
    rows = [rebate(f"r{number}", "a", "b") for number in range(300)]
    made = rebates(reading, 0, *rows)
    made.land()
    results = together(made.load, made.load)
    assert sorted(result.inserted for result in results) == [0, 300]
    assert [result.state for result in results] == ["certified"] * 2
    assert one(db, "SELECT count(*) FROM staging.lucko_rebates") == (300,)
    assert one(db, "SELECT count(*), sum(times) FROM staging.lucko_rebate_bets") == (600, 600)
    assert one(db, "SELECT count(*) FROM staging.lucko_rebate_versions") == (300,)
    assert one(db, "SELECT state, inserted FROM ops.readings") == ("certified", 300)


def test_loads_of_one_feed_of_one_agent_take_turns(reading: Readings, db: psycopg.Connection, warehouse: URL) -> None:
    made = bets(reading, 0, bet("a"))
    made.land()
    waiting = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
    with connect(warehouse) as first:
        first.execute("SELECT pg_advisory_xact_lock(hashtextextended('tieout:lucko__bets:acme', 0))")
        assert bets(reading, 0, bet("x"), agent="other").load().inserted == 1  # other agents need not wait
        loading = threading.Thread(target=made.load)
        loading.start()
        deadline = time.monotonic() + 30
        while one(db, waiting) == (0,) and loading.is_alive() and time.monotonic() < deadline:
            db.execute("SELECT pg_sleep(0.01)")
        assert one(db, waiting) == (1,)
    loading.join()
    assert one(db, "SELECT inserted FROM ops.readings WHERE agent = 'acme'") == (1,)


def test_two_readings_of_one_slice_at_once(reading: Readings, db: psycopg.Connection) -> None:
    older = bets(reading, 0, *(bet(f"b{number}") for number in range(300)))
    newer = bets(reading, 5, *(bet(f"b{number}", turnover="90") for number in range(300)))
    for made in (older, newer):
        made.land()
    assert [result.state for result in together(older.load, newer.load)] == ["certified"] * 2
    assert one(db, "SELECT count(*), sum(valid_bet_turnover) FROM staging.lucko_bets") == (300, 27000)
    assert one(db, "SELECT count(*) FROM staging.lucko_bet_versions") == (600,)


# -- coverage ---------------------------------------------------------------------------------------------------


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def statuses(db: psycopg.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT status FROM ops.slice_status ORDER BY slice_start")]


def read(reading: Readings, start: datetime, hours: float = 1, **fields: Any) -> Reading:
    return reading.of("lucko", "bets", start, hours=hours, **fields).answer(
        {"code": 200, "data": {"transactions": [], "total": 0}}
    )


def test_all_six_states(reading: Readings, db: psycopg.Connection, warehouse: URL) -> None:
    hour = this_hour()
    declare(db, [declared(start_at=hour - 6 * HOUR, reach=timedelta(hours=4, minutes=30))], {})
    read(reading, hour - 6 * HOUR).load()  # beyond reach, yet certified
    with pytest.raises(SuspectReading):
        read(reading, hour - 4 * HOUR, problem="moved").load()
    landed = read(reading, hour - 3 * HOUR).land()
    record_landed(db, read_manifest(landed), str(landed))
    found = db.execute("SELECT slice_start, slice_end, status, deadline FROM ops.slice_status ORDER BY 1").fetchall()
    assert [row[2] for row in found[:7]] == ["certified", "lost", "suspect", "landed", "missing", "missing", "due"]
    assert [row[:2] for row in found[:7]] == [(hour + n * HOUR, hour + (n + 1) * HOUR) for n in range(-6, 1)]
    assert all(row[3] == row[0] + timedelta(hours=4, minutes=30) for row in found)


def test_due_until_the_lag_has_passed(reading: Readings, db: psycopg.Connection) -> None:
    hour = this_hour()
    declare(db, [declared(start_at=hour - 3 * HOUR, lag=timedelta(hours=2))], {})
    assert statuses(db)[:4] == ["missing", "due", "due", "due"]


def test_stop_ends_the_slices(reading: Readings, db: psycopg.Connection) -> None:
    declare(db, [declared(start_at=at(2026, 3, 1, 0, 30), stop_at=at(2026, 3, 1, 3, 30), reach=None)], {})
    found = db.execute("SELECT slice_start, status, deadline FROM ops.slice_status ORDER BY 1").fetchall()
    # The first whole slice begins after the start; the last one that begins before the stop still counts.
    assert found == [(at(2026, 3, 1, hour), "missing", None) for hour in (1, 2, 3)]


def test_jdb_slices_begin_at_noon_in_beijing(db: psycopg.Connection) -> None:
    declare(
        db,
        [
            declared(
                provider="jdb", feed="daily", start_at=at(2024, 2, 28), stop_at=at(2024, 3, 2),
                slice_width=timedelta(days=1), slice_anchor=timedelta(hours=4), reach=None,
            )
        ],
        {},
    )  # fmt: skip
    found = db.execute("SELECT slice_start FROM ops.slice_status ORDER BY 1").fetchall()
    assert found == [(at(2024, 2, 28, 4),), (at(2024, 2, 29, 4),), (at(2024, 3, 1, 4),)]


def test_width_may_change(reading: Readings, db: psycopg.Connection) -> None:
    day = at(2026, 3, 1)
    span = {"start_at": day, "stop_at": day + 4 * HOUR, "reach": None}
    declare(db, [declared(**span)], {})
    for hour in (0, 1, 2):
        read(reading, day + hour * HOUR).load()
    assert statuses(db) == ["certified", "certified", "certified", "missing"]
    declare(db, [declared(**span, slice_width=2 * HOUR)], {})
    assert statuses(db) == ["certified", "missing"]
    declare(db, [declared(**span, slice_width=HOUR / 2)], {})
    assert statuses(db) == ["certified"] * 6 + ["missing"] * 2
    declare(db, [declared(**span, slice_width=2 * HOUR)], {})
    read(reading, day + 2 * HOUR, 2).load()
    assert statuses(db) == ["certified", "certified"]
    declare(db, [declared(**span)], {})
    assert statuses(db) == ["certified"] * 4


def test_coverage_is_apart_for_each_feed_and_agent(reading: Readings, db: psycopg.Connection) -> None:
    span = {"start_at": START, "stop_at": START + HOUR, "reach": None}
    declare(db, [declared(**span), declared(**span, agent="other"), declared(**span, feed="rebates")], {})
    read(reading, START).load()
    found = db.execute("SELECT agent, feed, status FROM ops.slice_status ORDER BY 1, 2").fetchall()
    assert found == [("acme", "bets", "certified"), ("acme", "rebates", "missing"), ("other", "bets", "missing")]


def test_unsettled_slices_of_a_range(reading: Readings, db: psycopg.Connection) -> None:
    day = at(2026, 3, 1)
    declare(db, [declared(start_at=day, stop_at=day + 5 * HOUR, reach=None)], {})
    read(reading, day + HOUR).load()
    with pytest.raises(SuspectReading):
        read(reading, day + 2 * HOUR, problem="moved").load()
    landed = read(reading, day + 3 * HOUR).land()
    record_landed(db, read_manifest(landed), str(landed))
    needs = [("bets", Slice(day + HOUR / 2, day + 4 * HOUR)), ("rebates", Slice(day, day + HOUR))]
    found = unsettled_slices(db, provider="lucko", agent="acme", needs=needs)
    assert [(item.feed, item.slice_start, item.status) for item in found] == [
        ("bets", day, "missing"), ("bets", day + 3 * HOUR, "landed"),
    ]  # fmt: skip


def test_snapshot_certificate_counts_what_was_retired(reading: Readings, db: psycopg.Connection) -> None:
    game = {"gameType": "L", "gameCode": "A", "betAmount": 1, "winLoss": 0, "winAmount": 1, "validBet": 1}
    summary(reading, 0, game).load()
    summary(reading, 5).load()
    found = db.execute("SELECT inserted, retired, reason FROM ops.readings ORDER BY pulled_at").fetchall()
    assert found == [(1, 0, "no_control_total"), (0, 1, "no_activity")]
    loads = db.execute("SELECT inserted, updated, retired FROM ops.loads ORDER BY load_id").fetchall()
    assert loads == [(1, 0, 0), (0, 0, 1)]
