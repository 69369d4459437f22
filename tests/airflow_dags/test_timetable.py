"""SliceTimetable by itself: lag, horizon, backfills, manual runs, slices and their cron expressions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import psycopg
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from hypothesis import given, settings
from hypothesis import strategies as st

import tieout.timetable
from tieout.core import ledger
from tieout.feeds import parse_agents
from tieout.timetable import SliceTimetable, slice_cron

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> pendulum.DateTime:
    """Hold the timetable's clock at noon of the first of March of a leap year."""
    instant = pendulum.datetime(2028, 3, 1, 12, 0, 0)
    monkeypatch.setattr(tieout.timetable, "utcnow", lambda: instant)
    return instant


def restriction(
    earliest: pendulum.DateTime | None, latest: pendulum.DateTime | None = None, *, catchup: bool = True
) -> TimeRestriction:
    return TimeRestriction(earliest, latest, catchup)


def first(timetable: SliceTimetable, limits: TimeRestriction) -> Any:
    return timetable.next_dagrun_info(last_automated_data_interval=None, restriction=limits)


def test_a_slice_runs_its_lag_after_its_end(now: pendulum.DateTime) -> None:
    timetable = SliceTimetable("0 * * * *", lag=timedelta(minutes=2))
    info = first(timetable, restriction(pendulum.datetime(2028, 2, 29, 22, 30)))
    assert info.data_interval == DataInterval(pendulum.datetime(2028, 2, 29, 23), pendulum.datetime(2028, 3, 1))
    assert info.run_after == pendulum.datetime(2028, 3, 1, 0, 2)


def test_slices_are_contiguous_over_leap_day_and_month_end(now: pendulum.DateTime) -> None:
    timetable = SliceTimetable("0 4 * * *", lag=25 * HOUR)
    last, seen = None, []
    for _ in range(5):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=last, restriction=restriction(pendulum.datetime(2028, 2, 27, 4))
        )
        assert info is not None
        seen.append(info.data_interval)
        last = info.data_interval
    assert [interval.start.day for interval in seen] == [27, 28, 29, 1, 2]
    assert all(earlier.end == later.start for earlier, later in itertools.pairwise(seen))


def test_catch_up_starts_at_the_retention_horizon(now: pendulum.DateTime) -> None:
    timetable = SliceTimetable("0 * * * *", reach=40 * DAY, margin=timedelta(minutes=90))
    info = first(timetable, restriction(pendulum.datetime(2020, 1, 1)))
    # 40 days back, an hour and a half clear of it, at the next boundary.
    assert info.data_interval.start == pendulum.datetime(2028, 1, 21, 14)


def test_catch_up_after_a_long_pause_jumps_to_the_horizon(now: pendulum.DateTime) -> None:
    timetable = SliceTimetable("0 * * * *", reach=40 * DAY, margin=HOUR)
    long_ago = DataInterval(pendulum.datetime(2027, 6, 1), pendulum.datetime(2027, 6, 1, 1))
    info = timetable.next_dagrun_info(
        last_automated_data_interval=long_ago, restriction=restriction(pendulum.datetime(2020, 1, 1))
    )
    assert info is not None
    assert info.data_interval.start == pendulum.datetime(2028, 1, 21, 13)


def test_a_start_inside_reach_is_kept(now: pendulum.DateTime) -> None:
    timetable = SliceTimetable("0 * * * *", reach=40 * DAY)
    info = first(timetable, restriction(pendulum.datetime(2028, 2, 20)))
    assert info.data_interval.start == pendulum.datetime(2028, 2, 20)


def test_a_backfill_is_never_cut(now: pendulum.DateTime) -> None:
    timetable = SliceTimetable("0 * * * *", reach=40 * DAY)
    info = first(timetable, restriction(pendulum.datetime(2020, 1, 1), pendulum.datetime(2020, 1, 2)))
    assert info.data_interval.start == pendulum.datetime(2020, 1, 1)


def test_nothing_is_scheduled_at_or_after_stop(now: pendulum.DateTime) -> None:
    timetable = SliceTimetable("0 * * * *", stop=datetime(2028, 2, 1, 0, 30, tzinfo=UTC))
    last = DataInterval(pendulum.datetime(2028, 1, 31, 23), pendulum.datetime(2028, 2, 1))
    limits = restriction(pendulum.datetime(2028, 1, 1))
    info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits)
    assert info is not None
    assert info.data_interval.start == pendulum.datetime(2028, 2, 1)
    assert timetable.next_dagrun_info(last_automated_data_interval=info.data_interval, restriction=limits) is None


@pytest.mark.parametrize(
    ("asked", "start"),
    [
        (pendulum.datetime(2028, 2, 29, 7, 15), pendulum.datetime(2028, 2, 29, 7)),
        (pendulum.datetime(2028, 2, 29, 7), pendulum.datetime(2028, 2, 29, 7)),
        # 10:00-11:00 is over at 11:00 and ready at 11:02; 11:00-12:00 is not ready at 12:00.
        (pendulum.datetime(2028, 3, 1, 10, 59, 59), pendulum.datetime(2028, 3, 1, 10)),
        (pendulum.datetime(2028, 3, 1, 11, 30), pendulum.datetime(2028, 3, 1, 10)),
        (pendulum.datetime(2031, 1, 1), pendulum.datetime(2028, 3, 1, 10)),
    ],
)
def test_a_manual_run_takes_the_slice_of_its_date_or_the_newest_ready(
    now: pendulum.DateTime, asked: pendulum.DateTime, start: pendulum.DateTime
) -> None:
    timetable = SliceTimetable("0 * * * *", lag=timedelta(minutes=2))
    interval = timetable.infer_manual_data_interval(run_after=asked)
    assert interval == DataInterval(start, start + HOUR)


def test_serialization_round_trip() -> None:
    timetable = SliceTimetable(
        "0 4 * * *",
        timezone="Asia/Shanghai",
        lag=25 * HOUR,
        reach=90 * DAY,
        margin=HOUR,
        stop=datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert SliceTimetable.deserialize(timetable.serialize()) == timetable
    plain = SliceTimetable("*/10 * * * *")
    assert SliceTimetable.deserialize(plain.serialize()) == plain
    assert plain != timetable


def test_summary_says_the_lag() -> None:
    assert SliceTimetable("0 * * * *", lag=timedelta(minutes=2)).summary == "0 * * * * + 2 min"
    assert SliceTimetable("0 4 * * *", lag=25 * HOUR).summary == "0 4 * * * + 1 d 1 h"
    assert SliceTimetable("0 * * * *").summary == "0 * * * *"


@pytest.mark.parametrize(
    ("width", "anchor", "cron"),
    [
        (timedelta(minutes=10), timedelta(0), "*/10 * * * *"),
        (timedelta(minutes=15), timedelta(minutes=5), "5-59/15 * * * *"),
        (HOUR, timedelta(0), "0 * * * *"),
        (6 * HOUR, timedelta(0), "0 0,6,12,18 * * *"),
        (12 * HOUR, 4 * HOUR, "0 4,16 * * *"),
        (DAY, 4 * HOUR, "0 4 * * *"),
    ],
)
def test_cron_of_a_slice(width: timedelta, anchor: timedelta, cron: str) -> None:
    assert slice_cron(width, anchor) == cron


@pytest.mark.parametrize("width", [timedelta(minutes=7), timedelta(hours=5), timedelta(days=2), timedelta(seconds=30)])
def test_impossible_slices_are_refused(width: timedelta) -> None:
    with pytest.raises(ValueError, match="neither"):
        slice_cron(width)


# -- the horizon over ends of months and years --------------------------------------------------------------------

TURNS = [(2028, 2, 29), (2028, 3, 1), (2027, 3, 1), (2028, 1, 1), (2027, 11, 1)]
INSTANTS = st.builds(
    lambda turn, ms: datetime(*turn, tzinfo=UTC) + timedelta(milliseconds=ms),
    st.sampled_from(TURNS),
    st.integers(-100 * 86_400_000, 100 * 86_400_000),
)
#: Slices as they may be declared: (cron, width, anchor).
SLICES = [
    (slice_cron(width, anchor), width, anchor)
    for width, anchor in (
        (timedelta(minutes=10), timedelta(0)), (HOUR, timedelta(0)), (6 * HOUR, timedelta(0)), (DAY, timedelta(0)),
        (DAY, 4 * HOUR), (12 * HOUR, 4 * HOUR),
    )
]  # fmt: skip


@contextmanager
def held_at(instant: datetime) -> Iterator[None]:
    """Hold the timetable's clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tieout.timetable, "utcnow", lambda: pendulum.instance(instant))
        yield


def on_boundary(instant: datetime, width: timedelta, anchor: timedelta) -> bool:
    # Pendulum's durations know no remainder.
    plain = datetime.fromtimestamp(instant.timestamp(), UTC)
    return (plain - datetime(2000, 1, 1, tzinfo=UTC) - anchor) % width == timedelta(0)


@settings(max_examples=50, deadline=None)
@given(
    instant=INSTANTS, slices=st.sampled_from(SLICES), reach=st.sampled_from([40 * DAY, 90 * DAY]),
    margin=st.sampled_from([timedelta(0), timedelta(minutes=90), 6 * HOUR]),
)  # fmt: skip
def test_catch_up_starts_at_the_first_boundary_clear_of_the_horizon(
    instant: datetime, slices: tuple[str, timedelta, timedelta], reach: timedelta, margin: timedelta
) -> None:
    cron, width, anchor = slices
    with held_at(instant):
        info = first(SliceTimetable(cron, reach=reach, margin=margin), restriction(pendulum.datetime(2020, 1, 1)))
    start, clear_of = info.data_interval.start, instant - reach + margin
    assert on_boundary(start, width, anchor)
    # Exactly at the edge is within reach, as it is for a pull.
    assert clear_of <= start < clear_of + width


@settings(max_examples=30, deadline=None)
@given(instant=INSTANTS, slices=st.sampled_from(SLICES), steps=st.integers(2, 8))
def test_intervals_are_contiguous_and_of_one_width(
    instant: datetime, slices: tuple[str, timedelta, timedelta], steps: int
) -> None:
    cron, width, anchor = slices
    limits, last = restriction(pendulum.instance(instant)), None
    with held_at(instant + 200 * DAY):
        timetable, seen = SliceTimetable(cron, lag=HOUR), []
        for _ in range(steps):
            info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits)
            assert info is not None
            last = info.data_interval
            assert last is not None
            seen.append(last)
            assert info.run_after == last.end + HOUR
    assert timedelta(0) <= seen[0].start - instant < width
    assert all(on_boundary(interval.start, width, anchor) for interval in seen)
    assert all(interval.end - interval.start == width for interval in seen)
    assert all(a.end == b.start for a, b in itertools.pairwise(seen))


@settings(max_examples=50, deadline=None)
@given(instant=INSTANTS, slices=st.sampled_from(SLICES), off=st.integers(-3, 3))
def test_a_manual_run_never_takes_a_slice_that_is_not_ready(
    instant: datetime, slices: tuple[str, timedelta, timedelta], off: int
) -> None:
    cron, width, anchor = slices
    start = instant - (instant - datetime(2000, 1, 1, tzinfo=UTC) - anchor) % width
    ready = start + width + 2 * HOUR
    timetable = SliceTimetable(cron, lag=2 * HOUR)
    with held_at(ready + timedelta(milliseconds=off)):
        interval = timetable.infer_manual_data_interval(run_after=pendulum.instance(start))
    assert interval.end - interval.start == width
    # To the millisecond: the slice itself once it is ready, until then the one before it.
    assert interval.start == (start if off >= 0 else start - width)


@settings(max_examples=30, deadline=None)
@given(instant=INSTANTS, reach=st.sampled_from([40 * DAY, 90 * DAY]))
def test_a_zone_of_eight_hours_has_the_same_horizon(instant: datetime, reach: timedelta) -> None:
    """Noon in Beijing is four in the morning UTC, whatever the day of the year."""
    with held_at(instant):
        limits = restriction(pendulum.datetime(2020, 1, 1))
        beijing = first(SliceTimetable("0 12 * * *", timezone="Asia/Shanghai", reach=reach), limits)
        utc = first(SliceTimetable("0 4 * * *", reach=reach), limits)
    assert beijing.data_interval == utc.data_interval
    assert beijing.run_after == utc.run_after


@pytest.mark.parametrize(("provider", "feed"), [("lucko", "bets"), ("vertexplay", "betlogs"), ("jdb", "daily")])
@pytest.mark.parametrize(
    ("start", "stop"),
    [("2024-02-27T22:10:00Z", "2024-03-02T01:30:00Z"), ("2025-12-30T04:00:00Z", "2026-01-02T04:00:00Z")],
)
def test_scheduler_and_ledger_expect_the_same_slices(
    db: psycopg.Connection, provider: str, feed: str, start: str, stop: str
) -> None:
    """What the timetable schedules from start to stop is what ops.slice_status expects, slice by slice."""
    text = f'agents: [{{provider: {provider}, agent: a, conn_id: c, start: "{start}", stop: "{stop}"' + (
        ', currency: RMB, g_types: ["0"]}]' if provider == "jdb" else "}]"
    )
    declared = next(f for f in parse_agents(text)[0].feeds if f.spec.name == feed)
    ledger.declare(db, [declared.declaration()], {})
    expected = [
        (begin.astimezone(UTC), end.astimezone(UTC))
        for begin, end in db.execute(
            "SELECT slice_start, slice_end FROM ops.slice_status WHERE feed = %s ORDER BY 1", (feed,)
        ).fetchall()
    ]
    timetable = SliceTimetable(declared.cron, lag=declared.lag, stop=declared.stop)
    limits, last, seen = restriction(pendulum.instance(declared.start)), None, []
    while (info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits)) is not None:
        last = info.data_interval
        assert last is not None
        seen.append((last.start.astimezone(UTC), last.end.astimezone(UTC)))
    assert seen == expected
    assert len(seen) >= 3
