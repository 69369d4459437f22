"""The providers' endpoints: requests judged and answered as their documents say."""

from __future__ import annotations

from simulator.config import SimConfig
from simulator.wire.base import Endpoint
from simulator.wire.hotroad import Summary
from simulator.wire.jdb import Daily
from simulator.wire.lucko import Bets, Rebates
from simulator.wire.vertexplay import Auth, BetLogs, Door
from simulator.world import World


def endpoints(config: SimConfig, world: World) -> tuple[Endpoint, ...]:
    """All endpoints of all providers over one world."""
    door = Door(config, world)
    return (
        Bets(config, world),
        Rebates(config, world),
        Summary(config, world),
        Daily(config, world),
        Auth(door),
        BetLogs(door),
    )
