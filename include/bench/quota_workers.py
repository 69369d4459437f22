"""The processes of the quota benchmark: workers that pull slices, and a simulator that notes when calls arrive."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from simulator import RunningServer, SimConfig
from simulator.ledger import CallLedger, Key
from tieout.core.clock import SystemClock, epoch_ms
from tieout.core.feed import FeedOptions
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota, QuotaKey
from tieout.core.slices import Slice
from tieout.providers import HOOKS, feed_spec


@dataclass(kw_only=True)
class Connected:
    """An Airflow connection's fields, for a hook outside of Airflow."""

    conn_id: str
    host: str | None
    login: str | None
    password: str | None
    extra: dict[str, Any]
    port: int | None = None

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """The extra fields."""
        return self.extra


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one worker pulls: the given slices of one feed of one agent, one after the other, after a ``delay``."""

    delay: timedelta
    provider: str
    feed: str
    conn_id: str
    connection: Mapping[str, Any]
    slices: tuple[tuple[datetime, datetime], ...]
    interval: timedelta
    warehouse: str
    landing: Path


def pull_all(work: Work) -> int:
    """Pull every slice as the operator does and return the number of pages."""
    logging.getLogger("tieout").setLevel(logging.WARNING)
    clock, feed = SystemClock(), feed_spec(work.provider, work.feed)
    known = {name: work.connection[name] for name in ("host", "login", "password", "extra")}
    hook = HOOKS[work.provider](work.conn_id, connection=Connected(conn_id=work.conn_id, **known), clock=clock)
    pages = 0
    time.sleep(work.delay.total_seconds())
    with PostgresQuota(work.warehouse, clock) as quota:
        hook.wait_for = lambda endpoint: quota.acquire(
            QuotaKey(provider=work.provider, endpoint=endpoint, merchant_id=hook.merchant_id), work.interval
        )
        puller = SlicePuller(caller=hook, quota=quota, clock=clock, landing=work.landing)
        for start, end in work.slices:
            plan = PullPlan(
                feed=feed, agent=work.conn_id, slice=Slice(start, end), options=FeedOptions(),
                interval=work.interval, lag=feed.lag,
            )  # fmt: skip
            result = puller.pull(plan)
            assert isinstance(result, tuple)
            pages += result[1].page_count
    return pages


class _NotingLedger(CallLedger):
    """A ledger that also keeps the instant (monotonic ms) of every call it was asked about."""

    def __init__(self, config: SimConfig) -> None:
        super().__init__(interval_ms=config.interval_ms, allowance_ms=config.quota_allowance_ms)
        self.arrivals: dict[Key, list[float]] = defaultdict(list)

    def arrive(self, key: Key, *, at_ms: float, wall: int) -> bool:
        self.arrivals[key].append(at_ms)
        return super().arrive(key, at_ms=at_ms, wall=wall)


def simulate(config: SimConfig, pipe: Connection, feeds: Mapping[str, str], first: datetime, last: datetime) -> None:
    """Serve *config*: send the URL, wait for any message, then send the ledger's report and all arrivals.

    The worlds of *feeds* (a simulator feed by provider) are made for ``[first, last)`` before the first call, so that
    none has to wait for it.
    """
    server = RunningServer(config)
    ledger = _NotingLedger(config)
    server.simulator.ledger = ledger
    for agent in config.agents:
        server.world.rows(feeds[agent.provider], agent.agent_id, epoch_ms(first), epoch_ms(last))
    server.start()
    try:
        pipe.send(server.url)
        # Without a question the other side has failed and says so itself.
        with suppress(EOFError):
            pipe.recv()
            pipe.send((ledger.report(), dict(ledger.arrivals)))
    finally:
        server.stop()
