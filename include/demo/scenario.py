"""What the demo reads: whole days of all five feeds, quotas scaled down on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

DAY = timedelta(days=1)
#: Noon in Beijing, after midnight UTC.
BEIJING_NOON = timedelta(hours=4)
#: The simulator enforces this share of every provider's documented quota interval …
SIMULATOR_QUOTA_SCALE = 1 / 100
#: … and the feeds file asks for calls at this share of it. The distance between the two absorbs what a busy machine
#: adds to a call's way: at documented intervals that is nothing, at a hundredth of them it is most of the interval.
FEEDS_QUOTA_SCALE = 1 / 25
DOCUMENTED_SECONDS = {"bets": 5.0, "rebates": 10.0, "summary": 1.0, "daily": 5.0, "betlogs": 3.0}
G_TYPES = ("0", "7", "9", "18")


@dataclass(frozen=True)
class Scenario:
    """The world lives from ``start`` to ``end``: settlement days, and two hours in which the last rebates follow."""

    start: datetime
    end: datetime
    slice_width: str = "1h"

    @classmethod
    def of(cls, now: datetime, *, days: int = 2) -> Scenario:
        """Return the newest scenario of so many *days* all of whose slices are ready at *now*.

        JDB decides: the day that begins at 04:00 UTC of day D is ready at 05:00 UTC of day D + 2.
        """
        midnight = _midnight(now.astimezone(UTC) - timedelta(hours=5))
        return cls(start=midnight - (days + 1) * DAY, end=midnight - DAY + timedelta(hours=2))

    @property
    def settlement_days(self) -> list[str]:
        """The whole days that are reconciled, as ISO dates."""
        days = (_midnight(self.end) - _midnight(self.start)) // DAY
        return [f"{self.start + DAY * offset:%Y-%m-%d}" for offset in range(days)]

    @property
    def jdb_start(self) -> datetime:
        """Where the first of JDB's days begins; they run from noon to noon in Beijing."""
        return _midnight(self.start) + BEIJING_NOON

    @property
    def jdb_stop(self) -> datetime:
        """Where the last of JDB's days ends."""
        return _midnight(self.end) + BEIJING_NOON

    def write_feeds(self, path: Path) -> None:
        """Write the demo's feeds file."""
        path.write_text(self.feeds_yaml(), encoding="utf-8")

    def feeds_yaml(self) -> str:
        """Return the demo's feeds file: one agent per provider."""

        def interval(feed: str) -> str:
            # Below a tenth of a second a busy machine's timers, not the quota, would decide.
            return f"{max(DOCUMENTED_SECONDS[feed] * FEEDS_QUOTA_SCALE, 0.1):g}s"

        until = f"stop: {_iso(self.end)}"
        return f"""\
# Written by the demo. Quota intervals are 1/{1 / FEEDS_QUOTA_SCALE:.0f} of the documented ones.
agents:
  - provider: lucko
    agent: demo
    conn_id: lucko_demo
    start: {_iso(self.start)}
    {until}
    bet_lookback: 0s      # the simulated world begins with the first day: no bet can be older
    judge_after: 2h
    feeds:
      bets: {{slice: {self.slice_width}, interval: {interval("bets")}}}
      rebates: {{slice: {self.slice_width}, interval: {interval("rebates")}}}
  - provider: hotroad
    agent: demo
    conn_id: hotroad_demo
    start: {_iso(self.start)}
    {until}
    currency: USD
    feeds:
      summary: {{slice: {self.slice_width}, interval: {interval("summary")}}}
  - provider: jdb
    agent: demo
    conn_id: jdb_demo
    start: {_iso(self.jdb_start)}
    stop: {_iso(self.jdb_stop)}
    currency: RMB
    g_types: [{", ".join(f'"{g_type}"' for g_type in G_TYPES)}]
    feeds:
      daily: {{interval: {interval("daily")}}}
  - provider: vertexplay
    agent: demo
    conn_id: vertexplay_demo
    start: {_iso(self.start)}
    {until}
    feeds:
      betlogs: {{slice: {self.slice_width}, interval: {interval("betlogs")}}}
"""

    def simulator_arguments(self, port: int) -> list[str]:
        """Return the simulator's command line arguments: nothing happens outside of the scenario."""
        return [
            "--port", str(port),
            "--quota-scale", str(SIMULATOR_QUOTA_SCALE),
            "--activity-from", _iso(self.start),
            "--activity-until", _iso(self.end),
        ]  # fmt: skip


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _iso(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
