"""Which certified slices are due to be read again, and how adjoining ones are joined."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from book import DAY, HOUR, MINUTE, Book, declared
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tieout.core.coverage import due_revisits, expected_calls, join_slices
from tieout.core.slices import Slice
from tieout.providers import FEEDS


@pytest.fixture
def bets(db: psycopg.Connection) -> Book:
    """Lucko bets of an agent known for long: slices of an hour, read again 1 h and 24 h after their end."""
    return Book(db, declared("lucko", "bets")).declare()


def test_slice_becomes_due_with_each_of_its_ages(bets: Book) -> None:
    young, old = bets.hour(1), bets.hour(30)
    bets.read(young, at=young.end + 2 * MINUTE)
    bets.read(old, at=old.end + 2 * MINUTE)
    assert due_revisits(bets.db, bets.feed) == [old, young]
    bets.read(old, at=old.end + 2 * HOUR, kind="revisit")
    bets.read(young, at=young.end + HOUR, kind="revisit")
    assert due_revisits(bets.db, bets.feed) == [old]
    bets.read(old, at=old.end + 24 * HOUR, kind="revisit")
    assert due_revisits(bets.db, bets.feed) == []


def test_reading_just_before_the_age_does_not_count(bets: Book) -> None:
    slice_ = bets.hour(30)
    bets.read(slice_, at=slice_.end + 24 * HOUR - timedelta(milliseconds=1))
    assert due_revisits(bets.db, bets.feed) == [slice_]


def test_slice_that_has_not_reached_an_age_is_not_due(bets: Book) -> None:
    slice_ = bets.hour(3)
    bets.read(slice_, at=slice_.end + 2 * MINUTE)
    assert due_revisits(bets.db, bets.feed, ages=[4 * HOUR]) == []
    assert due_revisits(bets.db, bets.feed, ages=[]) == []
    assert due_revisits(bets.db, bets.feed, ages=[HOUR, 4 * HOUR]) == [slice_]


def test_slice_first_read_after_its_last_age_is_never_due(bets: Book) -> None:
    bets.read(*(bets.hour(n) for n in range(49, 200)), ago=MINUTE)
    assert due_revisits(bets.db, bets.feed) == []


def test_only_certified_slices_are_revisited(bets: Book) -> None:
    bets.read(bets.hour(30), state="suspect", ago=25 * HOUR)
    bets.read(bets.hour(31), state="landed", ago=25 * HOUR)
    assert due_revisits(bets.db, bets.feed) == []


def test_slices_beyond_reach_are_not_revisited(db: psycopg.Connection) -> None:
    book = Book(db, declared("hotroad", "summary", start="2020-01-01")).declare()
    at_reach = book.now() - 40 * DAY
    beyond, within = (
        Slice(start, start + HOUR)
        for start in (at_reach.replace(minute=0, second=0, microsecond=0) + n * HOUR for n in (0, 1))
    )
    for slice_ in (beyond, within):
        book.read(slice_, at=slice_.end + 3 * HOUR)
    assert due_revisits(db, book.feed) == [within]


def test_slice_is_due_unless_all_of_it_was_read_again(bets: Book) -> None:
    slice_ = bets.hour(30)
    bets.read(slice_, at=slice_.end + 2 * MINUTE)
    half = Slice(slice_.start, slice_.start + 30 * MINUTE)
    bets.read(half, kind="revisit", ago=HOUR)
    assert due_revisits(bets.db, bets.feed) == [slice_]
    bets.read(Slice(half.end, slice_.end), kind="revisit", ago=HOUR)
    assert due_revisits(bets.db, bets.feed) == []


def test_slice_certified_by_narrower_readings_is_due_as_a_whole(bets: Book) -> None:
    slice_ = bets.hour(30)
    for piece in slice_.split(10 * MINUTE):
        bets.read(piece, at=slice_.end + 2 * MINUTE)
    assert due_revisits(bets.db, bets.feed) == [slice_]


def test_wider_reading_covers_its_slices(bets: Book) -> None:
    for number in (29, 30, 31):
        bets.read(bets.hour(number), at=bets.hour(number).end + 2 * MINUTE)
    bets.read(bets.hour(31, hours=3), kind="revisit", ago=2 * HOUR)
    assert due_revisits(bets.db, bets.feed) == []


def test_a_revisit_of_fewer_game_types_does_not_count(db: psycopg.Connection) -> None:
    book = Book(db, declared("jdb", "daily", start="2020-01-01T04:00:00Z")).declare()
    noon = (book.now() - 5 * DAY).replace(hour=4, minute=0, second=0, microsecond=0)
    day = Slice(noon, noon + DAY)
    book.read(day, at=day.end + 25 * HOUR)
    assert due_revisits(db, book.feed) == [day]
    book.read(day, kind="revisit", g_types=("0",), ago=MINUTE)
    assert due_revisits(db, book.feed) == [day]
    book.read(day, kind="revisit", ago=MINUTE)
    assert due_revisits(db, book.feed) == []


@pytest.mark.parametrize(
    ("suspect", "ago", "due"),
    [(1, 59, False), (1, 61, True), (2, 61, False), (2, 121, True), (7, 23 * 60, False), (7, 24 * 60 + 1, True)],
)
def test_suspect_revisits_are_repeated_with_a_growing_pause(bets: Book, suspect: int, ago: int, due: bool) -> None:
    slice_ = bets.hour(24 * 20)
    bets.read(slice_, at=slice_.end + 2 * MINUTE)
    for number in range(suspect):
        bets.read(slice_, state="suspect", kind="revisit", ago=ago * MINUTE + number * HOUR)
    assert due_revisits(bets.db, bets.feed) == ([slice_] if due else [])


def test_oldest_slices_come_first_and_a_run_has_a_limit(bets: Book) -> None:
    slices = [bets.hour(number) for number in range(60, 30, -1)]
    for slice_ in slices:
        bets.read(slice_, at=slice_.end + 2 * MINUTE)
    assert due_revisits(bets.db, bets.feed) == slices
    assert due_revisits(bets.db, bets.feed, limit=7) == slices[:7]


def test_other_agents_and_feeds_are_apart(bets: Book) -> None:
    other = Book(bets.db, declared("lucko", "bets", agent="other")).declare()
    slice_ = bets.hour(30)
    bets.read(slice_, at=slice_.end + 2 * MINUTE)
    other.read(slice_, ago=MINUTE)
    assert due_revisits(bets.db, bets.feed) == [slice_]
    assert due_revisits(bets.db, other.feed) == []


# -- against the definition, cell by cell -----------------------------------------------------------------------

HOURS = 60
READINGS = st.lists(
    st.tuples(
        st.integers(0, 2 * HOURS - 1),  # first half hour, counted back
        st.integers(1, 8),  # how many half hours
        st.integers(0, 70),  # begun so many hours ago …
        st.integers(0, 59),  # … and minutes
        st.sampled_from(["certified", "certified", "certified", "landed"]),
    ),
    max_size=60,
)
AGES = st.lists(st.integers(1, 50), min_size=1, max_size=3)
HALF = 30 * MINUTE


def due_by_definition(
    slices: list[Slice], readings: list[tuple[Slice, datetime, str]], ages: list[timedelta], now: datetime
) -> list[Slice]:
    """A slice is due when the half hour of it that was read the longest ago was read before its newest age."""
    due = []
    for slice_ in slices:
        passed = [slice_.end + age for age in ages if slice_.end + age <= now]
        newest = [
            max((at for r, at, state in readings if state == "certified" and r.start <= c.start and c.end <= r.end),
                default=None)
            for c in slice_.split(HALF)
        ]  # fmt: skip
        if passed and None not in newest and min(at for at in newest if at) < max(passed):
            due.append(slice_)
    return due


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(readings=READINGS, ages=AGES)
def test_due_is_what_the_definition_says(
    bets: Book, readings: list[tuple[int, int, int, int, str]], ages: list[int]
) -> None:
    bets.db.execute("DELETE FROM ops.readings")
    top = bets.top + HOUR
    written = []
    for back, halves, hours, minutes, state in readings:
        start = top - (back + 1) * HALF
        piece = Slice(start, min(start + halves * HALF, top))
        begun = bets.now() - hours * HOUR - minutes * MINUTE
        bets.read(piece, at=begun, state=state)
        written.append((piece, begun, state))
    durations = [age * HOUR for age in ages]
    with bets.db.transaction():
        now = bets.now()
        found = due_revisits(bets.db, bets.feed, ages=durations)
    slices = [Slice(top - n * HOUR, top - (n - 1) * HOUR) for n in range(HOURS + 1, 0, -1)]
    assert found == due_by_definition(slices, written, durations, now)


# -- joining ----------------------------------------------------------------------------------------------------


@given(
    numbers=st.lists(st.integers(0, 200), unique=True, max_size=80).map(sorted),
    minutes=st.sampled_from([10, 60, 360, 1440]),
    width=st.sampled_from([10 * MINUTE, 4 * HOUR, 23 * HOUR, DAY]),
)
def test_joined_groups_hold_every_slice_once_and_keep_to_the_width(
    numbers: list[int], minutes: int, width: timedelta
) -> None:
    origin = datetime.fromisoformat("2028-02-27T04:00:00+00:00")
    slices = [Slice(origin + n * minutes * MINUTE, origin + (n + 1) * minutes * MINUTE) for n in numbers]
    groups = join_slices(slices, width)
    assert [slice_ for group in groups for slice_ in group] == slices
    for group in groups:
        assert all(a.end == b.start for a, b in pairwise(group))
        assert len(group) == 1 or group[-1].end - group[0].start <= width
    for before, after in pairwise(groups):
        # What could have been joined has been.
        assert before[-1].end != after[0].start or after[0].end - before[0].start > width


@pytest.mark.parametrize(
    ("feed_id", "hours"),
    [("lucko__bets", 23), ("lucko__rebates", 24), ("hotroad__summary", 24), ("vertexplay__betlogs", 4)],
)
def test_feeds_join_hours_up_to_what_they_allow(feed_id: str, hours: int) -> None:
    start = datetime.fromisoformat("2028-02-28T00:00:00+00:00")
    slices = list(Slice(start, start + 3 * DAY).split(HOUR))
    groups = join_slices(slices, FEEDS[feed_id].joined_width)
    assert len(groups[0]) == hours
    assert sum(map(len, groups)) == len(slices)


# -- what it costs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "feed", "windows"), [("lucko", "bets", 1), ("vertexplay", "betlogs", 6), ("jdb", "daily", 2)]
)
def test_expected_calls_are_at_least_the_windows(
    db: psycopg.Connection, provider: str, feed: str, windows: int
) -> None:
    assert expected_calls(db, declared(provider, feed)) == windows


def test_expected_calls_follow_the_pages_of_slices_of_this_width(bets: Book) -> None:
    for number, pages in enumerate((1, 3, 5)):
        bets.read(bets.hour(number + 10), pages=pages)
    bets.read(bets.hour(20, hours=23), pages=99)
    bets.read(bets.hour(21), pages=99, kind="revisit")
    assert expected_calls(bets.db, bets.feed) == 3
