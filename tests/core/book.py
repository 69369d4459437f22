"""A ledger written by hand: declared feeds, and readings made at chosen instants."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tieout.core import ledger
from tieout.core.slices import Slice
from tieout.feeds import AgentFeed, parse_agents

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def declared(provider: str, feed: str, *, agent: str = "acme", start: str = "2020-01-01", **keys: str) -> AgentFeed:
    """Return one feed of a declared agent; *keys* are further lines of its feeds file."""
    always = {
        "hotroad": {"currency": "USD"}, "jdb": {"currency": "RMB", "g_types": '["0", "7"]'},
    }.get(provider, {})  # fmt: skip
    lines = {"provider": provider, "agent": agent, "conn_id": f"{provider}_{agent}", "start": f'"{start}"'}
    text = ", ".join(f"{key}: {value}" for key, value in {**lines, **always, **keys}.items())
    (found,) = parse_agents(f"agents: [{{{text}}}]")
    return next(entry for entry in found.feeds if entry.spec.name == feed)


@dataclass
class Book:
    """The ledger of one feed. ``top``: the full hour before the last one by the database's clock."""

    db: psycopg.Connection
    feed: AgentFeed
    top: datetime = field(init=False)
    _numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.top = self.now().replace(minute=0, second=0, microsecond=0) - HOUR

    def now(self) -> datetime:
        (now,) = self.db.execute("SELECT now()").fetchone() or (None,)
        assert now is not None
        return now.astimezone(UTC)

    def declare(self, *, known_for: timedelta = timedelta(days=400)) -> Book:
        """Declare the feed as known for so long."""
        ledger.declare(self.db, [self.feed.declaration()], {})
        self.db.execute(
            "UPDATE ops.agents SET first_known_at = now() - %s WHERE (provider, feed, agent) = (%s, %s, %s)",
            (known_for, self.feed.spec.provider, self.feed.spec.name, self.feed.agent),
        )
        return self

    def hour(self, number: int, hours: float = 1) -> Slice:
        """Return the hour that began *number* hours before the top."""
        start = self.top - number * HOUR
        return Slice(start, start + hours * HOUR)

    def read(
        self, *slices: Slice, state: str = "certified", kind: str = "first", ago: timedelta = 3 * HOUR,
        at: datetime | None = None, reason: str | None = None, g_types: tuple[str, ...] = (), pages: int = 1,
    ) -> str:  # fmt: skip
        """Write a reading (of several slices, when it joins them), begun *ago* or *at*; return its landing URI."""
        begun = at or self.now() - ago
        spec = self.feed.spec
        reading_id = f"{begun:%Y%m%dT%H%M%S.%f}Z-{next(self._numbers):08d}"
        uri = f"/base/{spec.provider}/{spec.name}/{self.feed.agent}/day/range/{reading_id}/manifest.json"
        for slice_ in slices:
            self.db.execute(
                """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state,
                       pages, rows, landing_uri, sha256, g_types, pulled_at, finished_at, loaded_at, reason)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s, '', %s, %s, %s, %s, %s)""",
                (
                    reading_id, spec.provider, spec.name, self.feed.agent, slice_.start, slice_.end, kind, state,
                    pages, uri, list(g_types or self.feed.options.g_types), begun, begun + timedelta(seconds=1),
                    None if state == "landed" else begun + MINUTE, reason,
                ),
            )  # fmt: skip
        return uri

    def statuses(self) -> list[tuple[datetime, datetime, str, datetime | None]]:
        """Return the slices the feed is expected to have, by the view."""
        return self.db.execute(
            """SELECT slice_start, slice_end, status, deadline FROM ops.slice_status
               WHERE (provider, feed, agent) = (%s, %s, %s) ORDER BY slice_start""",
            (self.feed.spec.provider, self.feed.spec.name, self.feed.agent),
        ).fetchall()
