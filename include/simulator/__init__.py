"""A stand-alone HTTP server that plays four game providers strictly, from their documents alone.

`with simulator.serve(config) as server:` runs it in a thread; `python -m simulator` runs it for itself.
"""

from simulator.config import (
    DEFAULT_AGENTS,
    ConfigError,
    FaultSpec,
    HotRoadAgent,
    JdbAgent,
    LuckoAgent,
    Quotas,
    SimConfig,
    VertexPlayAgent,
)
from simulator.connections import connections
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
