"""Which slices want mending, why, in which order and in which batches."""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg
import pytest
from book import DAY, HOUR, MINUTE, Book, declared

from tieout.core.coverage import is_open, plan_batches, repairs
from tieout.core.coverage.repairs import BATCH_SLICES
from tieout.core.slices import Slice

LATER = "missing, later slices were read"
SOON = "missing, soon forgotten"


@pytest.fixture
def bets(db: psycopg.Connection) -> Book:
    return Book(db, declared("lucko", "bets")).declare()


@pytest.fixture
def summary(db: psycopg.Connection) -> Book:
    """HotRoad: reach of 40 days, lag of 2 h."""
    return Book(db, declared("hotroad", "summary")).declare()


def why(book: Book, **keys: object) -> dict[Slice, str]:
    return {item.slice: item.why for item in repairs(book.db, book.feed, **keys)}  # type: ignore[arg-type]


def recent(found: dict[Slice, str], since: datetime) -> dict[Slice, str]:
    return {slice_: text for slice_, text in found.items() if slice_.start >= since}


# -- landed, never loaded -----------------------------------------------------------------------------------------


def test_landed_slice_is_loaded_after_half_an_hour(bets: Book) -> None:
    old, new = bets.hour(5), bets.hour(4)
    uri = bets.read(old, state="landed", ago=31 * MINUTE)
    bets.read(new, state="landed", ago=29 * MINUTE)
    (item,) = repairs(bets.db, bets.feed, since=old.start)
    assert (item.slice, item.why, item.manifests) == (old, "landed, never loaded", (uri,))


def test_landed_readings_are_loaded_oldest_first(bets: Book) -> None:
    slice_ = bets.hour(5)
    later = bets.read(slice_, state="landed", ago=HOUR)
    earlier = bets.read(slice_, state="landed", ago=2 * HOUR)
    (item,) = repairs(bets.db, bets.feed, since=slice_.start, until=slice_.end)
    assert item.manifests == (earlier, later)


def test_landed_slice_can_be_loaded_beyond_reach(summary: Book) -> None:
    slice_ = summary.hour(41 * 24)
    summary.read(slice_, state="landed", at=slice_.end + 3 * HOUR)
    assert why(summary, until=slice_.end) == {slice_: "landed, never loaded"}


def test_landed_reading_with_a_problem_is_read_again(bets: Book) -> None:
    slice_ = bets.hour(5)
    bets.read(slice_, state="landed", reason="the control total moved", ago=61 * MINUTE)
    (item,) = repairs(bets.db, bets.feed, since=slice_.start)
    assert (item.slice, item.why, item.manifests) == (slice_, "suspect", ())


def test_what_is_just_being_landed_is_left_alone(bets: Book) -> None:
    slice_ = bets.hour(5)
    bets.read(slice_, state="suspect", ago=3 * HOUR)
    assert why(bets, since=slice_.start) == {slice_: "suspect"}
    bets.read(slice_, state="landed", kind="repair", ago=MINUTE)
    assert why(bets, since=slice_.start, everything=True).get(slice_) is None


def test_joined_reading_is_loaded_once_for_each_of_its_slices(bets: Book) -> None:
    first, second = bets.hour(6), bets.hour(5)
    uri = bets.read(first, second, state="landed", ago=HOUR)
    assert [item.manifests for item in repairs(bets.db, bets.feed, since=first.start)] == [(uri,), (uri,)]


# -- suspect ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suspect", "ago", "wanted"),
    [(1, 59, False), (1, 61, True), (2, 119, False), (2, 121, True), (3, 239, False), (3, 241, True),
     (12, 24 * 60 - 1, False), (12, 24 * 60 + 1, True)],
)  # fmt: skip
def test_suspect_slice_is_read_again_after_a_growing_pause(bets: Book, suspect: int, ago: int, wanted: bool) -> None:
    slice_ = bets.hour(24 * 20)
    for number in range(suspect):
        bets.read(slice_, state="suspect", ago=ago * MINUTE + number * HOUR)
    asked = {"since": slice_.start, "until": slice_.end}
    assert why(bets, **asked) == ({slice_: "suspect"} if wanted else {})
    assert why(bets, **asked, everything=True) == {slice_: "suspect"}


def test_suspect_slice_beyond_reach_cannot_be_mended(summary: Book) -> None:
    slice_ = summary.hour(41 * 24)
    summary.read(slice_, state="suspect", at=slice_.end + 3 * HOUR)
    assert why(summary, until=slice_.end, everything=True) == {}


def test_slice_certified_by_another_reading_wants_nothing(bets: Book) -> None:
    slice_ = bets.hour(5)
    bets.read(slice_, state="suspect", ago=3 * HOUR)
    bets.read(slice_, kind="repair", ago=2 * HOUR)
    assert why(bets, since=slice_.start) == {}


# -- missing ------------------------------------------------------------------------------------------------------


def test_hole_before_a_later_reading_is_mended(bets: Book) -> None:
    bets.read(bets.hour(30), bets.hour(28), bets.hour(25), ago=2 * HOUR)
    assert why(bets, since=bets.hour(31).start) == {bets.hour(n): LATER for n in (31, 29, 27, 26)}


def test_hole_is_left_to_its_run_while_the_later_reading_is_new(bets: Book) -> None:
    bets.read(bets.hour(25), ago=59 * MINUTE)
    assert why(bets, since=bets.hour(26).start) == {}
    assert why(bets, since=bets.hour(26).start, settle=58 * MINUTE) == {bets.hour(26): LATER}


def test_slices_behind_the_newest_reading_are_left_to_the_normal_run(bets: Book) -> None:
    bets.read(bets.hour(30), ago=2 * HOUR)
    assert recent(why(bets), bets.hour(29).start) == {}


def test_everything_takes_what_has_settled(bets: Book) -> None:
    assert why(bets, since=bets.hour(3).start, everything=True) == {bets.hour(n): "missing" for n in (3, 2, 1)}
    # The hours at the top are over for less than two hours: with a longer settling time their run is still on its way.
    assert bets.hour(0) not in why(bets, since=bets.hour(3).start, everything=True, settle=3 * HOUR)


def test_due_slice_is_never_mended(summary: Book) -> None:
    newest = summary.hour(0)
    assert newest.end + summary.feed.lag > summary.now()
    assert newest not in why(summary, everything=True, settle=timedelta(0))


def test_slice_soon_forgotten_is_mended_while_no_run_works_towards_it(summary: Book) -> None:
    urgent, patient = summary.hour(38 * 24 + 2), summary.hour(37 * 24 + 20)
    assert why(summary, since=urgent.start, until=urgent.end) == {urgent: SOON}
    assert why(summary, since=patient.start, until=patient.end) == {}
    summary.read(summary.hour(39 * 24), ago=10 * MINUTE)
    assert why(summary, since=urgent.start, until=urgent.end) == {}


def test_feed_declared_just_now_begins_by_itself(db: psycopg.Connection) -> None:
    book = Book(db, declared("hotroad", "summary")).declare(known_for=59 * MINUTE)
    assert why(book) == {}
    book.declare(known_for=61 * MINUTE)
    assert set(why(book).values()) == {SOON}


def test_feed_without_a_reach_has_no_deadlines(db: psycopg.Connection) -> None:
    book = Book(db, declared("lucko", "rebates", start="2026-01-01")).declare()
    book.read(book.hour(5), ago=2 * HOUR)
    found = repairs(db, book.feed, since=book.hour(7).start)
    assert [(item.slice, item.deadline) for item in found] == [(book.hour(7), None), (book.hour(6), None)]


def test_new_game_type_makes_certified_days_holes(db: psycopg.Connection) -> None:
    book = Book(db, declared("jdb", "daily", start="2020-01-01T04:00:00Z")).declare()
    noon = (book.now() - 5 * DAY).replace(hour=4, minute=0, second=0, microsecond=0)
    days = [Slice(noon + n * DAY, noon + (n + 1) * DAY) for n in (0, 1)]
    book.read(days[0], g_types=("0",), ago=2 * HOUR)
    book.read(days[1], ago=2 * HOUR)
    assert why(book, since=noon) == {days[0]: LATER}


# -- order, range and batches -------------------------------------------------------------------------------------


def test_nearest_deadline_comes_first(summary: Book) -> None:
    summary.read(summary.hour(3), ago=2 * HOUR)
    deadlines = [item.deadline for item in repairs(summary.db, summary.feed)]
    assert len(deadlines) > 39 * 24
    assert deadlines == sorted(deadlines, key=lambda deadline: deadline or summary.now())
    assert deadlines[0] is not None
    assert deadlines[0] >= summary.now()


def test_only_slices_that_meet_the_range(bets: Book) -> None:
    bets.read(bets.hour(3), ago=2 * HOUR)
    asked = {"since": bets.hour(10).start + MINUTE, "until": bets.hour(8).start + MINUTE}
    assert sorted(why(bets, **asked)) == [bets.hour(n) for n in (10, 9, 8)]


def test_batches_hold_24_slices_of_one_feed_by_deadline(summary: Book, bets: Book) -> None:
    for book in (summary, bets):
        book.read(book.hour(3), ago=2 * HOUR)
    rebates = Book(bets.db, declared("lucko", "rebates", start=f"{bets.hour(60).start:%Y-%m-%dT%H:%M:%SZ}")).declare()
    rebates.read(rebates.hour(3), ago=2 * HOUR)
    found = [(book.feed, repairs(book.db, book.feed)) for book in (rebates, bets, summary)]
    batches = plan_batches(found)
    assert sum(batch.slices for batch in batches) == sum(len(wanted) for _, wanted in found)
    assert max(batch.slices for batch in batches) == BATCH_SLICES == 24
    assert {(batch.provider, batch.feed) for batch in batches[-2:]} == {("lucko", "rebates")}
    dated = [batch.deadline for batch in batches if batch.deadline is not None]
    assert dated == sorted(dated)
    for batch in batches[::12]:
        book = next(b for b in (rebates, bets, summary) if b.feed.spec.name == batch.feed)
        again = repairs(book.db, book.feed, since=batch.range.start, until=batch.range.end)
        assert len(again) == batch.slices


def test_a_run_has_a_limit_of_batches(bets: Book) -> None:
    bets.read(bets.hour(3), ago=2 * HOUR)
    found = [(bets.feed, repairs(bets.db, bets.feed))]
    everything, some = plan_batches(found), plan_batches(found, limit=3)
    assert some == everything[:3]
    assert len(everything) == -(-len(found[0][1]) // 24)
    assert plan_batches([(bets.feed, [])]) == []


def test_a_slice_is_open_until_it_is_certified(bets: Book) -> None:
    slice_ = bets.hour(5)
    assert is_open(bets.db, bets.feed, slice_)
    bets.read(slice_, state="suspect")
    assert is_open(bets.db, bets.feed, slice_)
    bets.read(slice_, kind="repair")
    assert not is_open(bets.db, bets.feed, slice_)
    assert not is_open(bets.db, bets.feed, Slice(slice_.start + MINUTE, slice_.end))
