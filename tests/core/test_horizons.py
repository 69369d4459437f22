"""The edge of a provider's reach, to the millisecond, and the days on which calendars go wrong.

A slice that begins exactly at the edge is within reach: for the pull, for the view and for repairs alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from book import DAY, HOUR, MINUTE, Book, declared
from hypothesis import given
from hypothesis import strategies as st
from kit import FixedClock

from tieout.core.coverage import repairs
from tieout.core.errors import NotReady, PastReach
from tieout.core.feed import FeedSpec
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.slices import Slice, Window
from tieout.providers import FEEDS

MS = timedelta(milliseconds=1)
#: Days before and after which calendars differ: leap days, ends of Februaries, of months and of years.
TURNS = [datetime(*day, tzinfo=UTC) for day in ((2024, 2, 29), (2024, 3, 1), (2023, 3, 1), (2026, 1, 1), (2025, 5, 1))]
INSTANTS = st.builds(
    lambda turn, ms: turn + ms * MS, st.sampled_from(TURNS), st.integers(-100 * 86_400_000, 100 * 86_400_000)
)


class Asked(Exception):
    """The provider was called."""


@dataclass
class Edge:
    """A quota whose clock stands, and a caller that only says that it was called."""

    instant: datetime
    merchant_id: str = "m1"

    def now(self) -> datetime:
        return self.instant

    def __getattr__(self, name: str) -> object:
        # Whatever a pull does with quota or caller once it has decided to call.
        def called(*_: object, **__: object) -> None:
            raise Asked(name)

        return called


def pull(feed: FeedSpec, slice_: Slice, now: datetime, base: Path, *, lag: timedelta = timedelta(0)) -> None:
    edge, clock = Edge(now), FixedClock()
    options = declared(feed.provider, feed.name).options
    plan = PullPlan(feed=feed, agent="acme", slice=slice_, options=options, interval=feed.interval, lag=lag)
    SlicePuller(caller=edge, quota=edge, clock=clock, landing=base).pull(plan)  # type: ignore[arg-type]


LIMITED = sorted(name for name, feed in FEEDS.items() if feed.reach is not None)


@pytest.mark.parametrize("feed_id", LIMITED)
@given(instant=INSTANTS, off=st.integers(-3, 3))
def test_a_pull_asks_from_the_edge_on(
    tmp_path_factory: pytest.TempPathFactory, feed_id: str, instant: datetime, off: int
) -> None:
    feed = FEEDS[feed_id]
    assert feed.reach is not None
    origin = datetime(2000, 1, 1, tzinfo=UTC) + feed.slice_anchor
    start = instant - (instant - origin) % feed.slice_width
    base = tmp_path_factory.getbasetemp() / "edge"
    wanted = Asked if off >= 0 else PastReach
    with pytest.raises(wanted):
        pull(feed, Slice(start, start + feed.slice_width), start + feed.reach - off * MS, base)


@given(now=INSTANTS, lag=st.sampled_from([timedelta(0), 2 * MINUTE, 2 * HOUR, 25 * HOUR]), off=st.integers(-3, 3))
def test_a_slice_is_ready_exactly_its_lag_after_its_end(
    tmp_path_factory: pytest.TempPathFactory, now: datetime, lag: timedelta, off: int
) -> None:
    end = now - lag + off * MS
    base = tmp_path_factory.getbasetemp() / "ready"
    wanted = Asked if off <= 0 else NotReady
    with pytest.raises(wanted) as caught:
        pull(FEEDS["lucko__rebates"], Slice(end - HOUR, end), now, base, lag=lag)
    if isinstance(caught.value, NotReady):
        assert (caught.value.ready_at, caught.value.delay) == (end + lag, off * MS)


# -- the view -----------------------------------------------------------------------------------------------------


@pytest.fixture
def book(db: psycopg.Connection) -> Book:
    return Book(db, declared("hotroad", "summary")).declare()


def edge_of(book: Book, slice_: Slice, off: timedelta) -> tuple[str, bool, bool]:
    """Return a slice's status, whether its deadline is now + *off*, and whether repairs would read it."""
    with book.db.transaction():
        book.db.execute("UPDATE ops.agents SET reach = now() - %s + %s", (slice_.start, off))
        row = book.db.execute(
            "SELECT status, deadline = now() + %s FROM ops.slice_status WHERE slice_start = %s", (off, slice_.start)
        ).fetchone()
        found = repairs(book.db, book.feed, since=slice_.start, until=slice_.end, everything=True)
    assert row is not None
    return row[0], row[1], bool(found)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
@pytest.mark.parametrize(("off", "status"), [(-MS, "lost"), (timedelta(0), "missing"), (MS, "missing")])
def test_the_view_and_repairs_agree_with_the_pull_at_the_edge(
    book: Book, zone: str, off: timedelta, status: str
) -> None:
    book.db.execute(f"SET TIME ZONE '{zone}'".encode())
    assert edge_of(book, book.hour(30 * 24), off) == (status, True, status == "missing")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
@pytest.mark.parametrize(("off", "status"), [(-MS, "due"), (timedelta(0), "missing"), (MS, "missing")])
def test_a_slice_is_due_until_its_lag_has_passed(book: Book, zone: str, off: timedelta, status: str) -> None:
    slice_ = book.hour(5)
    book.db.execute(f"SET TIME ZONE '{zone}'".encode())
    with book.db.transaction():
        book.db.execute("UPDATE ops.agents SET lag = now() - %s - %s", (slice_.end, off))
        row = book.db.execute("SELECT status FROM ops.slice_status WHERE slice_start = %s", (slice_.start,)).fetchone()
    assert row == (status,)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: f"{turn:%Y-%m-%d}")
@pytest.mark.parametrize(
    ("provider", "feed", "keys"),
    [("lucko", "bets", {}), ("vertexplay", "betlogs", {"feeds": "{betlogs: {slice: 10min}}"}), ("jdb", "daily", {})],
)
def test_slices_are_contiguous_over_ends_of_months_and_years(
    db: psycopg.Connection, zone: str, turn: datetime, provider: str, feed: str, keys: dict[str, str]
) -> None:
    start, stop = turn - 3 * DAY, turn + 3 * DAY
    text = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "stop": f'"{stop:%Y-%m-%dT%H:%M:%SZ}"'}
    book = Book(db, declared(provider, feed, **text, **keys)).declare()
    db.execute(f"SET TIME ZONE '{zone}'".encode())
    slices = [Slice(begin, end) for begin, end, _, _ in book.statuses()]
    anchor = book.feed.spec.slice_anchor
    assert slices[0].start == start + anchor
    assert all(a.end == b.start for a, b in pairwise(slices))
    assert {slice_.width for slice_ in slices} == {book.feed.slice_width}
    assert slices[-1].start < stop <= slices[-1].end


def test_jdb_days_begin_at_noon_in_beijing_also_on_a_leap_day(db: psycopg.Connection) -> None:
    book = Book(db, declared("jdb", "daily", start="2024-02-27", stop="2024-03-03")).declare()
    beijing = timedelta(hours=8)
    days = [start.astimezone(UTC) + beijing for start, *_ in book.statuses()]
    assert [(day.month, day.day, day.hour, day.minute) for day in days] == [
        (2, 27, 12, 0), (2, 28, 12, 0), (2, 29, 12, 0), (3, 1, 12, 0), (3, 2, 12, 0),
    ]  # fmt: skip
    (window, *_) = book.feed.spec.windows(Slice(days[2] - beijing, days[3] - beijing), book.feed.options)
    assert isinstance(window, Window)
    assert book.feed.spec.window_values(window, book.feed.options)[0].isoformat() == "2024-02-29"


def test_three_months_are_ninety_days_whatever_their_months(db: psycopg.Connection) -> None:
    for provider, feed in (("lucko", "bets"), ("jdb", "daily")):
        book = Book(db, declared(provider, feed, start="2024-02-28")).declare()
        (start, _, _, deadline), *_ = book.statuses()
        assert deadline is not None
        assert deadline - start == timedelta(days=90)
        assert deadline.astimezone(UTC).date().isoformat() == "2024-05-28"


def test_unlimited_reach_has_no_edge(tmp_path: Path) -> None:
    start = datetime(2001, 1, 1, tzinfo=UTC)
    with pytest.raises(Asked):
        pull(FEEDS["lucko__rebates"], Slice(start, start + DAY), datetime(2026, 1, 1, tzinfo=UTC), tmp_path)
    limited = replace(FEEDS["lucko__rebates"], reach=DAY)
    with pytest.raises(PastReach):
        pull(limited, Slice(start, start + DAY), datetime(2026, 1, 1, tzinfo=UTC), tmp_path)
