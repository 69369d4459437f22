"""SliceTimetable: contiguous data intervals that are read some time after their end, never beyond reach.

The scheduler's catch-up starts no earlier than the provider's retention horizon; a backfill asked for in the UI is
never cut. An agent ends by ``stop``, not by the DAG's ``end_date``: the scheduler is told apart from a backfill by
``restriction.latest``, which only a backfill sets then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow._shared.timezones.timezone import coerce_datetime, parse_timezone, utcnow
from airflow.timetables.base import DagRunInfo, DataInterval
from airflow.timetables.interval import CronDataIntervalTimetable

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction
    from pendulum import DateTime, FixedTimezone, Timezone

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def slice_cron(width: timedelta, anchor: timedelta = timedelta(0)) -> str:
    """Return the cron expression of slices of *width* whose boundaries lie *anchor* after midnight.

    Widths are minutes that divide an hour, hours that divide a day, or one day. Raises ValueError otherwise.
    """
    if anchor % MINUTE or not timedelta(0) <= anchor < DAY:
        raise ValueError(f"an anchor of {anchor} is no time of day in whole minutes")
    if width <= timedelta(0):
        raise ValueError("a slice must be longer than nothing")
    hour, minute = divmod(anchor // MINUTE, 60)
    if width == DAY:
        return f"{minute} {hour} * * *"
    if width == HOUR:
        return f"{minute} * * * *"
    if width < HOUR and width % MINUTE == timedelta(0) and HOUR % width == timedelta(0):
        step = width // MINUTE
        return f"{minute % step}-59/{step} * * * *" if minute % step else f"*/{step} * * * *"
    if width % HOUR == timedelta(0) and DAY % width == timedelta(0):
        step = width // HOUR
        hours = ",".join(str((hour + offset) % 24) for offset in range(0, 24, step))
        return f"{minute} {hours} * * *"
    raise ValueError(f"a slice of {width} is neither minutes that divide an hour, hours that divide a day, nor a day")


class SliceTimetable(CronDataIntervalTimetable):
    """Data intervals between the instants of a cron expression; ``run_after`` = interval end + ``lag``.

    ``reach``: how far back the provider answers (None: no limit); ``margin`` is kept clear of it, so that a slice is
    not lost between being scheduled and being read. ``stop``: no interval begins at or after it.
    """

    def __init__(
        self,
        cron: str,
        *,
        timezone: str | Timezone | FixedTimezone = "UTC",
        lag: timedelta = timedelta(0),
        reach: timedelta | None = None,
        margin: timedelta = timedelta(hours=6),
        stop: datetime | None = None,
    ) -> None:
        super().__init__(cron, timezone)
        self._lag = lag
        self._reach = reach
        self._margin = margin
        self._stop = coerce_datetime(stop)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> SliceTimetable:
        """Rebuild the timetable from ``serialize``."""
        return cls(
            data["expression"],
            timezone=parse_timezone(data["timezone"]),
            lag=timedelta(seconds=data["lag"]),
            reach=None if data["reach"] is None else timedelta(seconds=data["reach"]),
            margin=timedelta(seconds=data["margin"]),
            stop=None if data["stop"] is None else datetime.fromisoformat(data["stop"]),
        )

    def serialize(self) -> dict[str, Any]:
        """Return what ``deserialize`` needs: seconds and ISO instants."""
        return {
            **super().serialize(),
            "lag": self._lag.total_seconds(),
            "reach": None if self._reach is None else self._reach.total_seconds(),
            "margin": self._margin.total_seconds(),
            "stop": None if self._stop is None else self._stop.isoformat(),
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SliceTimetable):
            return NotImplemented
        return self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash(tuple(self.serialize().values()))

    @property
    def summary(self) -> str:
        """The cron expression and the lag, as the UI shows them."""
        return f"{self._expression} + {_plain(self._lag)}" if self._lag else self._expression

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next slice: oldest first, not beyond the horizon when the scheduler asks."""
        if restriction.latest is None and self._reach is not None:
            horizon = self._horizon()
            earliest = restriction.earliest
            restriction = restriction._replace(earliest=horizon if earliest is None else max(earliest, horizon))
        info = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if info is None or info.data_interval is None:
            return None
        interval = info.data_interval
        if self._stop is not None and interval.start >= self._stop:
            return None
        return info._replace(run_after=interval.end + self._lag)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the slice that contains *run_after* when it is ready, else the newest slice that is."""
        now = coerce_datetime(utcnow())
        start = self._align_to_prev(run_after)
        end = self._get_next(start)
        if end + self._lag <= now:
            return DataInterval(start=start, end=end)
        end = self._align_to_prev(now - self._lag)
        return DataInterval(start=self._get_prev(end), end=end)

    def _horizon(self) -> DateTime:
        assert self._reach is not None
        return self._align_to_next(coerce_datetime(utcnow()) - self._reach + self._margin)


def _plain(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
