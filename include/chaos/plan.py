"""What a run of chaos does: which slices of which agents, how much goes wrong, and when. All of it from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
AGENTS = ("north", "south")
LUCKO = ("bets", "rebates")
G_TYPES = ("0", "7")
#: Seconds. The quota spares 2 % of an interval for the ways of two calls to differ in: 60 to 200 ms at the documented
#: intervals, next to nothing at these, while everything runs on one machine that is kept busy on purpose.
SPARE = 0.1
#: Bodies grow to this and beyond what workers accept, not to what would fill the machine.
OVERSIZE = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size of a run.

    ``slices``: how many per agent and feed; ``width``: of a slice of Lucko's (the others: an hour, JDB a day);
    ``enforced``: seconds between calls that the simulator asks for; the feeds ask for ``SPARE`` more.
    """

    seed: int
    now: datetime
    slices: dict[str, int]
    width: timedelta
    enforced: float
    workers: int
    kills: int
    restarts: int
    changes: int
    fault_share: float = 0.35

    @classmethod
    def full(cls, seed: int, now: datetime) -> Plan:
        """More than 300 slices; about five minutes on two cores."""
        return cls(
            seed=seed, now=now, width=HOUR, enforced=1.2, workers=10, kills=12, restarts=3, changes=6,
            slices={"bets": 48, "rebates": 48, "summary": 40, "daily": 2, "betlogs": 16},
        )  # fmt: skip

    @classmethod
    def short(cls, seed: int, now: datetime) -> Plan:
        """Half a minute, for the test suite."""
        return cls(
            seed=seed, now=now, width=6 * HOUR, enforced=0.9, workers=6, kills=3, restarts=1, changes=2,
            slices={"bets": 5, "rebates": 5, "summary": 3, "daily": 1, "betlogs": 1},
        )  # fmt: skip

    @property
    def start(self) -> datetime:
        """Where hourly slices begin: far enough back for every slice to be ready, and for JDB's days."""
        midnight = self.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - 7 * DAY

    @property
    def activity_until(self) -> datetime:
        """Nothing happens in the world from here on: what changes moves to the last slice of bets at most."""
        return self.stop("bets")

    def stop(self, feed: str) -> datetime:
        """Where a feed's slices end."""
        width = DAY if feed == "daily" else self.width if feed in LUCKO else HOUR
        return self.begin(feed) + self.slices[feed] * width

    def begin(self, feed: str) -> datetime:
        """Where a feed's slices begin; JDB's days run from noon to noon in Beijing."""
        return self.start + 4 * HOUR if feed == "daily" else self.start

    @property
    def slice_count(self) -> int:
        """All slices of all agents."""
        return len(AGENTS) * sum(self.slices.values())

    def feeds_yaml(self) -> str:
        """Return the feeds file: two agents of every provider."""
        entries = []
        for agent in AGENTS:
            entries += [
                self._entry("lucko", agent, LUCKO),
                self._entry("hotroad", agent, ("summary",), "currency: USD"),
                self._entry("jdb", agent, ("daily",), "currency: RMB", f"g_types: [{', '.join(map(repr, G_TYPES))}]"),
                self._entry("vertexplay", agent, ("betlogs",)),
            ]
        return "agents:\n" + "".join(entries)

    def simulator_settings(self) -> dict[str, Any]:
        """Return the simulator's settings: the same agents, the same intervals, no faults yet."""
        sizes = {"bets_per_hour": 40}
        agents: dict[str, list[dict[str, Any]]] = {"lucko": [], "hotroad": [], "jdb": [], "vertexplay": []}
        for number, agent in enumerate(AGENTS):
            hostile = {"hostile_ids": bool(number)}
            agents["lucko"].append(
                {"agent_id": agent, "sign_key": f"{agent}-sign-key", "users": 30, "conn_id": f"lucko_{agent}"}
                | sizes | hostile
            )  # fmt: skip
            agents["hotroad"].append(
                {"agent_id": agent, "username": f"{agent}-user", "password": f"{agent}-pass",
                 "conn_id": f"hotroad_{agent}"} | hostile
            )  # fmt: skip
            agents["jdb"].append(
                {"agent_id": agent, "aes_key": f"{agent}-aes-key-000"[:16], "iv": f"{agent}-iv-0000000"[:16],
                 "dc": "demo", "users": 20, "g_types": list(G_TYPES), "conn_id": f"jdb_{agent}"} | hostile
            )  # fmt: skip
            agents["vertexplay"].append(
                {"agent_id": agent, "secret": f"{agent}-vp-secret", "api_key": f"{number + 1:02d}" * 32,
                 "bet_ids": bool(number), "conn_id": f"vertexplay_{agent}"} | sizes | hostile
            )  # fmt: skip
        quota = ("lucko_bets", "lucko_rebates", "hotroad_summary", "jdb_daily", "vertexplay_betlogs", "vertexplay_auth")
        return {
            "seed": self.seed,
            "port": 0,
            "activity_from": self.start.isoformat(),
            "activity_until": self.activity_until.isoformat(),
            "quota": dict.fromkeys(quota, self.enforced),
            "agents": agents,
        }

    def _entry(self, provider: str, agent: str, feeds: tuple[str, ...], *more: str) -> str:
        # One stop for all feeds of an agent; what a feed reads beyond it is not expected.
        lines = [
            f"  - provider: {provider}",
            f"    agent: {agent}",
            f"    conn_id: {provider}_{agent}",
            f"    start: {self.begin(feeds[0]):%Y-%m-%dT%H:%M:%SZ}",
            f"    stop: {max(self.stop(feed) for feed in feeds):%Y-%m-%dT%H:%M:%SZ}",
            *(f"    {line}" for line in more),
            "    feeds:",
            *(f"      {feed}: {{interval: {self.enforced + SPARE:g}s{self._slice(feed)}}}" for feed in feeds),
        ]
        return "\n".join(lines) + "\n"

    def _slice(self, feed: str) -> str:
        return f", slice: {self.width // HOUR}h" if feed in LUCKO else ""
