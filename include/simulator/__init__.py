"""A stand-alone HTTP server that plays four game providers strictly, from their documents alone.

`with simulator.serve(config) as server:` runs it in a thread; `python -m simulator` runs it for itself.
"""

from simulator.agents import DEFAULT_AGENTS, HotRoadAgent, JdbAgent, LuckoAgent, VertexPlayAgent
from simulator.checks import ConfigError
from simulator.config import Quotas, SimConfig
from simulator.connections import connections
from simulator.fault_spec import FaultSpec
from simulator.server import PortInUse, RunningServer, serve

__all__ = [
    "DEFAULT_AGENTS",
    "ConfigError",
    "FaultSpec",
    "HotRoadAgent",
    "JdbAgent",
    "LuckoAgent",
    "PortInUse",
    "Quotas",
    "RunningServer",
    "SimConfig",
    "VertexPlayAgent",
    "connections",
    "serve",
]
