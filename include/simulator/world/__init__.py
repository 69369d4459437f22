"""The world all providers show: one part per agent, deterministic from seed and settings."""

from __future__ import annotations

from typing import Any

from simulator.clock import WorldClock
from simulator.config import HotRoadAgent, JdbAgent, LuckoAgent, SimConfig, VertexPlayAgent
from simulator.world.hotroad import HotRoadWorld
from simulator.world.jdb import JdbWorld
from simulator.world.lucko import LuckoWorld
from simulator.world.vertexplay import VertexPlayWorld

FEEDS = ("lucko_bets", "lucko_rebates", "hotroad_summary", "jdb_daily", "vertexplay_betlogs")


class World:
    """The agents' worlds by provider and id, and the clock they share."""

    def __init__(self, config: SimConfig, clock: WorldClock) -> None:
        self.config = config
        self.clock = clock
        self.lucko = {a.agent_id: LuckoWorld(config, a) for a in config.agents if isinstance(a, LuckoAgent)}
        self.hotroad = {a.agent_id: HotRoadWorld(config, a) for a in config.agents if isinstance(a, HotRoadAgent)}
        self.jdb = {a.agent_id: JdbWorld(config, a) for a in config.agents if isinstance(a, JdbAgent)}
        self.vertexplay = {
            a.agent_id: VertexPlayWorld(config, a) for a in config.agents if isinstance(a, VertexPlayAgent)
        }

    def rows(self, feed: str, agent: str, start: int, end: int) -> list[dict[str, Any]]:
        """The rows of one feed in [start, end) as served now, without any provider's limits.

        Raises KeyError for an unknown feed or agent.
        """
        now = self.clock.now()
        if feed == "lucko_bets":
            return self.lucko[agent].bets(start, end, as_of=now)
        if feed == "lucko_rebates":
            return self.lucko[agent].rebates(start, end, as_of=now)
        if feed == "hotroad_summary":
            return self.hotroad[agent].hourly(start, end, as_of=now)
        if feed == "jdb_daily":
            return list(self.jdb[agent].dated(start, end, as_of=now))
        if feed == "vertexplay_betlogs":
            return self.vertexplay[agent].betlogs(start, end, as_of=now)
        raise KeyError(feed)
