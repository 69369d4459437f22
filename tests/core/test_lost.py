"""ops.lost: one row per gap, written once, grown, healed; loud only about what could have been saved."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from book import DAY, HOUR, MINUTE, Book, declared
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from tieout.core.coverage import LostReport, record_lost
from tieout.core.slices import Slice
from tieout.core.warehouse import connect

#: The oldest slice of a feed with a reach of 40 days that is still to be had, counted in hours before the top.
EDGE = 40 * 24 - 2


@pytest.fixture
def book(db: psycopg.Connection) -> Book:
    """HotRoad, whose provider answers 40 days back; the agent began half a day before that and is known for long."""
    probe = Book(db, declared("hotroad", "summary"))
    start = probe.hour(EDGE + 12).start
    return Book(db, declared("hotroad", "summary", start=f"{start:%Y-%m-%dT%H:%M:%SZ}")).declare()


def record(book: Book) -> LostReport:
    with book.db.transaction():
        return record_lost(book.db)


def rows(book: Book) -> list[tuple[Any, ...]]:
    return book.db.execute(
        "SELECT gap_start, gap_end, slices FROM ops.lost ORDER BY provider, feed, agent, gap_start"
    ).fetchall()


def ranges(report: LostReport, what: str) -> list[Slice]:
    return [gap.range for gap in getattr(report, what)]


def old(book: Book, number: int, hours: float = 1) -> Slice:
    """A slice that has been forgotten for *number* hours."""
    return book.hour(EDGE + number, hours)


def test_adjoining_lost_slices_are_one_gap(book: Book) -> None:
    book.read(old(book, 5))
    report = record(book)
    assert ranges(report, "new") == [old(book, 12, 7), old(book, 4, 4)]
    assert rows(book) == [(gap.start, gap.end, n) for gap, n in ((old(book, 12, 7), 7), (old(book, 4, 4), 4))]
    assert report.alarming == report.new
    assert (report.grown, report.healed) == ((), ())


def test_gap_is_recorded_once(book: Book) -> None:
    record(book)
    before = book.db.execute("SELECT *, xmin::text FROM ops.lost").fetchall()
    report = record(book)
    assert ranges(report, "gaps") == [old(book, 12, 12)]
    assert (report.new, report.grown, report.healed) == ((), (), ())
    assert book.db.execute("SELECT *, xmin::text FROM ops.lost").fetchall() == before


def test_gap_that_grows_keeps_when_it_was_recorded(book: Book) -> None:
    book.read(old(book, 1))
    record(book)
    book.db.execute(
        "UPDATE ops.lost SET recorded_at = recorded_at - interval '1 day', grown_at = grown_at - interval '1 day'"
    )
    (recorded_at, grown_at) = book.db.execute("SELECT recorded_at, grown_at FROM ops.lost").fetchone() or (None, None)
    book.db.execute("UPDATE ops.readings SET state = 'landed' WHERE state = 'certified'")
    book.db.execute("DELETE FROM ops.readings")
    report = record(book)
    assert ranges(report, "grown") == [old(book, 12, 12)]
    assert report.alarming == ()
    found = book.db.execute("SELECT recorded_at, grown_at > %s FROM ops.lost", (grown_at,)).fetchone()
    assert found == (recorded_at, True)


def test_two_gaps_that_meet_become_the_older_one(book: Book) -> None:
    book.read(old(book, 5))
    record(book)
    book.db.execute(
        "UPDATE ops.lost SET recorded_at = recorded_at - interval '1 day' WHERE gap_start = %s", (old(book, 4).start,)
    )
    (oldest,) = book.db.execute("SELECT min(recorded_at) FROM ops.lost").fetchone() or (None,)
    book.db.execute("DELETE FROM ops.readings")
    report = record(book)
    assert (report.new, report.healed) == ((), ())
    assert rows(book) == [(old(book, 12).start, old(book, 1).end, 12)]
    assert book.db.execute("SELECT recorded_at FROM ops.lost").fetchone() == (oldest,)


def test_what_is_certified_after_all_is_taken_out(book: Book) -> None:
    record(book)
    book.read(old(book, 5), kind="replay")
    report = record(book)
    assert ranges(report, "healed") == [old(book, 12, 12)]
    assert (report.new, report.grown) == ((), ())
    assert rows(book) == [(gap.start, gap.end, n) for gap, n in ((old(book, 12, 7), 7), (old(book, 4, 4), 4))]
    book.read(*(old(book, n) for n in range(1, 13)), kind="replay")
    assert len(record(book).healed) == 2
    assert rows(book) == []


def test_gap_of_a_slice_that_is_partly_certified_is_the_rest(book: Book) -> None:
    slice_ = old(book, 3)
    book.read(*(old(book, n) for n in (12, 11, 10, 9, 8, 7, 6, 5, 4, 2, 1)))
    book.read(Slice(slice_.start, slice_.start + 20 * MINUTE))
    record(book)
    assert rows(book) == [(slice_.start + 20 * MINUTE, slice_.end, 1)]


def test_slice_whose_rows_are_kept_is_not_lost(book: Book) -> None:
    book.read(old(book, 5), state="suspect")
    book.read(old(book, 6), state="landed")
    assert ranges(record(book), "gaps") == [old(book, 12, 6), old(book, 4, 4)]


def test_nothing_within_reach_is_lost(book: Book) -> None:
    (gap,) = record(book).gaps
    assert gap.end <= book.now() - 40 * DAY + HOUR
    assert gap.end > book.now() - 40 * DAY - HOUR


def test_only_time_the_agent_answers_for(db: psycopg.Connection) -> None:
    declared_late = Book(db, declared("hotroad", "summary")).declare(known_for=DAY)
    (gap,) = record(declared_late).gaps
    # Known for a day: what had been forgotten before that was never its own.
    assert HOUR * 23 <= gap.end - gap.start <= HOUR * 25
    assert gap.slices == (gap.end - gap.start) // HOUR


def test_what_nobody_could_have_read_in_time_is_recorded_without_alarm(db: psycopg.Connection) -> None:
    book = Book(db, declared("hotroad", "summary")).declare(known_for=5 * HOUR)
    report = record(book)
    assert [gap.slices for gap in report.new] in ([4], [5])
    assert report.alarming == ()
    assert len(rows(book)) == 1


def test_feeds_without_a_reach_lose_nothing(db: psycopg.Connection) -> None:
    book = Book(db, declared("lucko", "rebates")).declare()
    assert record(book).gaps == ()


def test_gaps_of_agents_are_apart_and_name_them(book: Book) -> None:
    start = f"{old(book, 3).start:%Y-%m-%dT%H:%M:%SZ}"
    Book(book.db, declared("hotroad", "summary", agent="other", start=start)).declare()
    first, second = record(book).new
    assert (first.agent, second.agent) == ("acme", "other")
    assert str(second) == (
        f"hotroad summary agent=other {old(book, 3, 3)}: 3 slice(s), the provider answers 40 days back"
    )


def test_two_monitors_at_once_record_a_gap_once(book: Book, warehouse: URL) -> None:
    with connect(warehouse) as first, connect(warehouse) as second:
        assert record_lost(first).new
        second.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            record_lost(second)
    assert record(book).new == ()


# -- every gap, whatever the readings -----------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sets(st.integers(1, 12), max_size=8), min_size=1, max_size=4))
def test_recorded_gaps_are_exactly_the_uncertified_time(book: Book, steps: list[set[int]]) -> None:
    """Whatever is certified from one run to the next, the rows are the truth, and each gap is new only once."""
    book.db.execute("DELETE FROM ops.lost")
    ever: set[datetime] = set()
    for certified in steps:
        book.db.execute("DELETE FROM ops.readings")
        book.read(*(old(book, n) for n in certified))
        report = record(book)
        lost = {old(book, n).start for n in range(1, 13)} - {old(book, n).start for n in certified}
        told = {start + n * HOUR for start, end, _ in rows(book) for n in range((end - start) // HOUR)}
        assert told == lost
        assert sum(slices for _, _, slices in rows(book)) == len(lost)
        starts = [start for start, _, _ in rows(book)]
        assert all(start - HOUR not in lost for start in starts)
        for gap in report.new:
            assert not {gap.start + n * HOUR for n in range((gap.end - gap.start) // HOUR)} & ever
        ever = lost


def test_growing_by_an_hour_at_a_time_alarms_once(db: psycopg.Connection) -> None:
    """A feed that is never read loses an hour every hour: the first one is an alarm, the others are warnings."""
    book = Book(db, declared("hotroad", "summary")).declare(known_for=timedelta(hours=9, minutes=30))
    alarms = []
    for known in range(1, 5):
        report = record(book)
        alarms.append(len(report.alarming))
        assert len(rows(book)) == 1
        book.declare(known_for=timedelta(hours=9 + known, minutes=30))
    assert alarms == [1, 0, 0, 0]
