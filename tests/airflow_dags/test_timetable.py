"""SliceTimetable by itself: lag, horizon, backfills, manual runs, slices and their cron expressions."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction

import tieout.timetable
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
