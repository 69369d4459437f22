"""What the tests of the core and the providers share: connections, a clock that stands still, simulated hooks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from typing import Any

from simulator import RunningServer, SimConfig, connections
from tieout.core.clock import Clock
from tieout.providers import HOOKS
from tieout.providers.base import ProviderHook

FIXED_NOW = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Conn:
    """An Airflow connection's fields."""

    conn_id: str = "conn"
    host: str | None = "https://provider.example"
    port: int | None = None
    login: str | None = "merchant"
    password: str | None = "secret"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def extra_dejson(self) -> dict[str, Any]:
        return self.extra


@dataclass
class FixedClock:
    """Time moves only when it is slept through (or set)."""

    instant: datetime = FIXED_NOW
    ticks: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.ticks += seconds
        self.instant += timedelta(seconds=seconds)


#: Complete connections that no server needs to answer.
COMPLETE: dict[str, dict[str, Any]] = {
    "lucko": {},
    "hotroad": {"extra": {"agent_id": "a1"}},
    "jdb": {"password": "0123456789abcdef", "extra": {"dc": "test", "iv_secret": "fedcba9876543210"}},
    "vertexplay": {"extra": {"api_key": "00112233445566778899aabbccddeeff" * 2}},
}


def hook(provider: str, *, clock: Clock | None = None, **changes: Any) -> ProviderHook:
    """Return a hook on a complete connection with some fields changed; ``extra`` is merged, None removes a key."""
    fields = {**COMPLETE[provider], **changes}
    extra = {**COMPLETE[provider].get("extra", {}), **changes.get("extra", {})}
    fields["extra"] = {key: value for key, value in extra.items() if value is not None}
    return HOOKS[provider]("conn", connection=Conn(**fields), clock=clock)


def simulated(server: RunningServer, provider: str, *, clock: Clock | None = None, **changes: Any) -> ProviderHook:
    """Return a hook for the simulator's first agent of *provider*, some connection fields changed."""
    config: SimConfig = server.simulator.config
    agent = next(agent for agent in config.agents if agent.provider == provider)
    conn_id = config.conn_id(agent)
    known = connections(config, url=server.url)[conn_id]
    extra = {**known["extra"], **changes.pop("extra", {})}
    fields = {"host": known["host"], "login": known["login"], "password": known["password"], **changes}
    return HOOKS[provider](conn_id, connection=Conn(conn_id=conn_id, extra=extra, **fields), clock=clock)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[Any]:
    """Have *server* answer in a thread of its own until the context ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
