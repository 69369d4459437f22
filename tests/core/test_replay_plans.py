"""What landing holds of a slice or a time, whatever widths its readings have."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from readings import Reading, at
from tieout.core.feed import FeedOptions
from tieout.core.landing import LandedReading, landed_readings
from tieout.core.replay import Held, begun_in, readings_covering, uncertified, uncovered, whole_days
from tieout.core.slices import Slice

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
START = at(2028, 2, 29, 22)
SLICE = Slice(START, START + HOUR)


@pytest.fixture
def read(reading: type[Reading]) -> type[Reading]:
    return reading


def held(read: type[Reading], slice_: Slice = SLICE, **options: tuple[str, ...]) -> Held:
    provider, feed = ("jdb", "daily") if options else ("lucko", "bets")
    return readings_covering(
        read.base, provider=provider, feed=feed, agent="acme", slice_=slice_, options=FeedOptions(**options)
    )


def land(read: type[Reading], start: datetime, minute: int, **keys: object) -> Path:
    """Land a reading of Lucko bets that was made so many minutes after START."""
    return read.of("lucko", "bets", start, requested_at=START + minute * MINUTE, **keys).land()  # type: ignore[arg-type]


def paths(found: Held) -> list[Path]:
    return [Path(str(entry.manifest)) for entry in found.readings]


def test_newest_reading_that_covers_the_slice(read: type[Reading]) -> None:
    land(read, START, 70)
    newest = land(read, START, 90)
    land(read, START, 100, hours=0.5)
    assert paths(held(read)) == [newest]


def test_wider_reading_covers_it_too(read: type[Reading]) -> None:
    wide = land(read, START - 3 * HOUR, 90, hours=6)
    assert paths(held(read)) == [wide]


def test_narrower_readings_cover_it_together_oldest_first(read: type[Reading]) -> None:
    second = land(read, START + 30 * MINUTE, 80, hours=0.5)
    land(read, START, 70, hours=0.5)
    first = land(read, START, 90, hours=0.5)
    assert paths(held(read)) == [second, first]


def test_a_reading_whose_totals_held_goes_before_a_newer_one(read: type[Reading]) -> None:
    sound = land(read, START, 70)
    land(read, START, 90, problem="the control total moved")
    assert paths(held(read)) == [sound]


def test_sound_pieces_go_before_a_whole_with_a_problem(read: type[Reading]) -> None:
    pieces = [land(read, START, 70, hours=0.5), land(read, START + 30 * MINUTE, 80, hours=0.5)]
    land(read, START, 90, problem="the control total moved")
    assert paths(held(read)) == pieces


def test_better_a_reading_with_a_problem_than_none(read: type[Reading]) -> None:
    odd = land(read, START, 90, problem="the control total moved")
    land(read, START, 95, hours=0.5)
    assert paths(held(read)) == [odd]


def test_what_is_missing_is_named(read: type[Reading]) -> None:
    assert held(read) == Held(readings=(), missing=(SLICE,))
    land(read, START + 20 * MINUTE, 80, hours=0.5)
    assert held(read).missing == (Slice(START, START + 20 * MINUTE), Slice(START + 50 * MINUTE, SLICE.end))


def test_torn_manifest_is_no_reading(read: type[Reading]) -> None:
    whole = land(read, START, 70)
    torn = land(read, START, 90)
    torn.write_bytes(torn.read_bytes()[:100])
    assert paths(held(read)) == [whole]


def test_reading_of_fewer_game_types_does_not_count(read: type[Reading]) -> None:
    noon = at(2028, 2, 28, 4)
    day = Slice(noon, noon + 24 * HOUR)
    some = read.of("jdb", "daily", noon, hours=24, currency="RMB", g_types=("0", "7")).land()
    assert paths(held(read, day, g_types=("7",))) == [some]
    assert held(read, day, g_types=("0", "7", "9")).missing == (day,)


# -- time arithmetic ----------------------------------------------------------------------------------------------

PIECES = st.lists(st.tuples(st.integers(-5, 30), st.integers(1, 12)), max_size=8)


@given(pieces=PIECES)
def test_uncovered_is_what_no_piece_holds(pieces: list[tuple[int, int]]) -> None:
    covered = [Slice(START + a * MINUTE, START + (a + width) * MINUTE) for a, width in pieces]
    left = uncovered(Slice(START, START + 24 * MINUTE), covered)
    minutes = {m for m in range(24) if not any(a <= m < a + width for a, width in pieces)}
    assert {m for m in range(24) for piece in left if piece.start <= START + m * MINUTE < piece.end} == minutes
    assert all(before.end < after.start for before, after in pairwise(left))


@given(
    start=st.datetimes(datetime(2027, 12, 30), datetime(2028, 3, 2)),
    width=st.timedeltas(timedelta(milliseconds=1), timedelta(days=400)),
    at_most=st.integers(1, 500),
)
def test_days_are_whole_and_cover_the_range(start: datetime, width: timedelta, at_most: int) -> None:
    begin = start.replace(tzinfo=START.tzinfo, microsecond=0)
    range_ = Slice(begin, begin + timedelta(milliseconds=max(width // timedelta(milliseconds=1), 1)))
    days = whole_days(range_, at_most=at_most)
    assert (days[0].start, days[-1].end) == (range_.start, range_.end)
    assert all(a.end == b.start for a, b in pairwise(days))
    assert len(days) <= at_most
    for before, _ in pairwise(days):
        assert (before.end.hour, before.end.minute, before.end.second, before.end.microsecond) == (0, 0, 0, 0)


def test_each_reading_belongs_to_one_day_of_a_range(read: type[Reading]) -> None:
    range_ = Slice(START - 2 * HOUR, START + 30 * HOUR)
    for start, hours in ((START - 4 * HOUR, 3), (START - HOUR, 1), (START + HOUR, 2), (START + 25 * HOUR, 23)):
        land(read, start, 90, hours=hours)
    readings = landed_readings(read.base, provider="lucko", feed="bets", agent="acme", range_=range_)
    days = whole_days(range_, at_most=500)
    parts = [begun_in(_meeting(read, day), day, first=range_.start) for day in days]
    assert len(days) == 3
    assert sorted(entry.reading_id for part in parts for entry in part) == [entry.reading_id for entry in readings]
    assert len(readings) == 4


def _meeting(read: type[Reading], day: Slice) -> list[LandedReading]:
    return landed_readings(read.base, provider="lucko", feed="bets", agent="acme", range_=day)


def test_uncertified_leaves_out_what_is_certified_as_a_whole(read: type[Reading], db: psycopg.Connection) -> None:
    read.of("lucko", "bets", START, requested_at=START + 90 * MINUTE).load()
    land(read, START, 95)
    land(read, START + 30 * MINUTE, 96)
    name = {"provider": "lucko", "feed": "bets", "agent": "acme"}
    readings = landed_readings(read.base, **name, range_=SLICE)
    assert len(readings) == 3
    left = uncertified(db, readings, **name)
    assert [entry.range for entry in left] == [Slice(START + 30 * MINUTE, START + 90 * MINUTE)]
    assert uncertified(db, readings, **{**name, "agent": "other"}) == readings
