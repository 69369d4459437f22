"""What is declared: agents, and their feeds with the limits that hold for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.ledger import DeclaredFeed
from tieout.core.recon.integrity import IntegritySettings
from tieout.core.recon.settings import ReconSettings
from tieout.timetable import slice_cron


@dataclass(frozen=True, kw_only=True)
class AgentFeed:
    """One feed of one agent, limits as they hold for it."""

    spec: FeedSpec
    agent: str
    conn_id: str
    start: datetime
    stop: datetime | None
    slice_width: timedelta
    lag: timedelta
    interval: timedelta
    revisits: tuple[timedelta, ...]
    options: FeedOptions

    @property
    def dag_id(self) -> str:
        """``<provider>__<feed>__<agent>``."""
        return f"{self.spec.id}__{self.agent}"

    @property
    def cron(self) -> str:
        """The cron expression of its slices."""
        return slice_cron(self.slice_width, self.spec.slice_anchor)

    def declaration(self) -> DeclaredFeed:
        """Return the row of ops.agents."""
        return DeclaredFeed(
            provider=self.spec.provider,
            agent=self.agent,
            feed=self.spec.name,
            currency=self.options.currency,
            g_types=list(self.options.g_types),
            start_at=self.start,
            stop_at=self.stop,
            slice_width=self.slice_width,
            slice_anchor=self.spec.slice_anchor,
            lag=self.lag,
            reach=self.spec.reach,
        )


@dataclass(frozen=True, kw_only=True)
class Agent:
    """A declared agent: the local key, its connection, its feeds and how its rebates are judged."""

    provider: str
    agent: str
    conn_id: str
    start: datetime
    stop: datetime | None
    feeds: tuple[AgentFeed, ...]
    recon: ReconSettings
    integrity: IntegritySettings

    def dag_id(self, kind: str) -> str:
        """``<provider>__<kind>__<agent>``: the DAG of what is done for the agent as a whole."""
        return f"{self.provider}__{kind}__{self.agent}"
