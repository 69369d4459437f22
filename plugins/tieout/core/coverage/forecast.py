"""Forecast: whether the providers' quotas suffice to read what is missing before it is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import psycopg

from tieout.core.coverage.declared import Declared, key, text_table
from tieout.core.coverage.revisits import expected_calls
from tieout.core.quota import SPACING
from tieout.core.slices import stamp

_OPEN = """
SELECT deadline FROM ops.slice_status
WHERE provider = %(provider)s AND feed = %(feed)s AND agent = %(agent)s AND status IN ('suspect', 'missing')
  AND (deadline IS NULL OR deadline >= now())
ORDER BY deadline NULLS LAST
"""

_WIDENED = """
SELECT q.min_interval FROM ops.agents AS a
JOIN ops.quota AS q ON q.provider = a.provider AND q.merchant_id = a.merchant_id AND q.endpoint = %(endpoint)s
WHERE a.provider = %(provider)s AND a.feed = %(feed)s AND a.agent = %(agent)s
"""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What it takes to read the open slices of one feed, one call after the other, oldest first.

    ``calls`` are expected calls, ``spacing`` what lies between two, the share that live slices take included; at
    ``done_at`` all is read that can be. ``lost`` slices will be forgotten first unless something changes, from
    ``lost_from`` on.
    """

    provider: str
    feed: str
    agent: str
    slices: int
    calls: int
    spacing: timedelta
    deadline: datetime | None
    done_at: datetime
    lost: int
    lost_from: datetime | None

    @property
    def suffices(self) -> bool:
        """Whether every open slice can be read in time."""
        return self.lost == 0

    def as_json(self) -> dict[str, Any]:
        """Return the forecast as XCom carries it: instants as text, durations in seconds."""
        return {
            "provider": self.provider, "feed": self.feed, "agent": self.agent, "slices": self.slices,
            "calls": self.calls, "spacing": self.spacing.total_seconds(), "deadline": _text(self.deadline),
            "done_at": _text(self.done_at), "suffices": self.suffices, "lost": self.lost,
            "lost_from": _text(self.lost_from),
        }  # fmt: skip


def forecast(connection: psycopg.Connection, feeds: Iterable[Declared]) -> list[Forecast]:
    """Return a forecast for each feed that has open slices within reach, by the database's clock."""
    (now,) = connection.execute("SELECT now()").fetchone() or (None,)
    assert now is not None
    found = (_forecast(connection, feed, now) for feed in feeds)
    return [entry for entry in found if entry is not None]


def call_spacing(connection: psycopg.Connection, feed: Declared) -> timedelta:
    """Return what lies between two calls: as declared, or as throttle answers have widened it for the merchant."""
    parameters = {**key(feed), "endpoint": feed.spec.endpoint}
    row = connection.execute(_WIDENED, parameters).fetchone()
    widened = row[0] if row is not None and row[0] is not None else timedelta(0)
    return max(feed.interval, widened) * SPACING


def forecast_table(forecasts: Sequence[Forecast]) -> str:
    """Return the forecasts as a table for a task's log."""
    rows = [
        (
            f"{entry.provider} {entry.feed}", entry.agent, entry.slices, entry.calls,
            f"{entry.spacing.total_seconds():.1f} s", _text(entry.deadline) or "none", _text(entry.done_at),
            "yes" if entry.suffices else f"no: {entry.lost} slice(s) will be lost from {_text(entry.lost_from)} on",
        )
        for entry in forecasts
    ]  # fmt: skip
    return text_table(("feed", "agent", "slices", "calls", "one per", "first deadline", "read by", "in time"), rows)


def _forecast(connection: psycopg.Connection, feed: Declared, now: datetime) -> Forecast | None:
    deadlines = [row[0] for row in connection.execute(_OPEN, key(feed)).fetchall()]
    if not deadlines:
        return None
    calls, spacing = expected_calls(connection, feed), call_spacing(connection, feed)
    if feed.stop is None or feed.stop > now:
        spacing = _beside_live(spacing, calls, feed.slice_width)
    read, lost = _simulate(deadlines, now, spacing * calls)
    return Forecast(
        provider=feed.spec.provider,
        feed=feed.spec.name,
        agent=feed.agent,
        slices=len(deadlines),
        calls=ceil(len(deadlines) * calls),
        spacing=spacing,
        deadline=deadlines[0],
        done_at=now + spacing * calls * read,
        lost=len(lost),
        lost_from=min(lost, default=None),
    )


def _beside_live(spacing: timedelta, calls: float, width: timedelta) -> timedelta:
    """Return the spacing that is left beside the calls of live slices; those go first."""
    live = min(spacing * calls / width, 0.99)
    return spacing / (1 - live)


def _simulate(deadlines: Sequence[datetime | None], now: datetime, each: timedelta) -> tuple[int, list[datetime]]:
    """Return (slices read, deadlines of those that are forgotten before their turn); one slice takes *each*."""
    read, lost = 0, []
    for deadline in deadlines:
        if deadline is not None and now + each * read > deadline:
            lost.append(deadline)
        else:
            read += 1
    return read, lost


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else stamp(instant)
