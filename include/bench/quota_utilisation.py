"""How close to the allowed rate many processes come together, and whether one call ever arrives too early."""

from __future__ import annotations

import itertools
import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path
from statistics import fmean
from typing import Any

import psycopg

from bench.framework import Benchmark, Figure, Outcome
from bench.quota_workers import Work, pull_all, simulate
from demo.postgres import EmbeddedPostgres
from simulator import LuckoAgent, SimConfig, VertexPlayAgent, connections
from simulator.agents import Agent
from simulator.config import Quotas
from tieout.core.quota import SPACING
from tieout.core.warehouse import conninfo
from tieout.migrations import upgrade
from tieout.providers import feed_spec

#: Asked for and enforced alike: the spacing factor is all that lies between.
INTERVAL = timedelta(seconds=1)
PROCESSES_PER_AGENT = 4
CALLS_PER_PROCESS = 10
#: Processes begin one after the other, as tasks do: loading ciphers sixteen times at once is not what is measured.
STAGGER = timedelta(seconds=0.15)
#: Provider → our feed, the simulator's name of it, the slice that is one call.
FEEDS = {
    "lucko": ("bets", "lucko_bets", timedelta(minutes=10)),
    "vertexplay": ("betlogs", "vertexplay_betlogs", timedelta(minutes=10)),
}
AGENTS: tuple[Agent, ...] = (
    LuckoAgent(agent_id="north", sign_key="bench-key-north", bets_per_hour=20),
    LuckoAgent(agent_id="south", sign_key="bench-key-south", bets_per_hour=20),
    VertexPlayAgent(agent_id="east", secret="bench-secret-east", api_key="e5" * 32, bets_per_hour=20),
    VertexPlayAgent(agent_id="west", secret="bench-secret-west", api_key="3e" * 32, bets_per_hour=20),
)


@dataclass(frozen=True, kw_only=True)
class RowUse:
    """How one quota row was used, by the simulator's clock and count."""

    provider: str
    arrivals: tuple[float, ...]
    violations: int
    given_up: int

    @property
    def gaps(self) -> list[float]:
        """Milliseconds between neighbouring arrivals."""
        return [later - earlier for earlier, later in itertools.pairwise(self.arrivals)]

    @property
    def utilisation(self) -> float:
        """Calls × interval / wall time, from the first arrival to one interval after the last."""
        interval = INTERVAL.total_seconds() * 1000
        return len(self.arrivals) * interval / (self.arrivals[-1] - self.arrivals[0] + interval)


def run(seed: int) -> Outcome:
    """Let all processes of all agents pull at once; every agent has a quota row of its own."""
    rows = _measure(seed)
    figures = [figure for provider in FEEDS for figure in _figures([row for row in rows if row.provider == provider])]
    sizes = {
        "agents": len(AGENTS),
        "processes": PROCESSES_PER_AGENT * len(AGENTS),
        "calls_per_process": CALLS_PER_PROCESS,
        "interval_seconds": INTERVAL.total_seconds(),
    }
    return Outcome(figures=tuple(figures), sizes=sizes)


def _figures(rows: list[RowUse]) -> Iterator[Figure]:
    name = rows[0].provider
    spacing = INTERVAL.total_seconds() * 1000 * SPACING
    gaps = sorted(gap for row in rows for gap in row.gaps)
    off = sorted(abs(gap - spacing) for gap in gaps)
    yield Figure(name=f"{name}: calls", value=sum(len(row.arrivals) for row in rows))
    yield Figure(name=f"{name}: calls that arrived too early", value=sum(row.violations for row in rows), at_most=0)
    yield Figure(name=f"{name}: utilisation, worse agent", value=min(row.utilisation for row in rows), at_least=0.95)
    yield Figure(name=f"{name}: smallest distance of two arrivals", value=gaps[0], unit="ms")
    yield Figure(name=f"{name}: deviation from the spacing, 99 %", value=off[int(len(off) * 0.99)], unit="ms")
    yield Figure(name=f"{name}: lost to the spacing factor", value=100 * (1 - 1 / SPACING), unit="%")
    yield Figure(name=f"{name}: lost to late calls", value=100 * (fmean(gaps) / spacing - 1), unit="%")
    yield Figure(name=f"{name}: slots given up", value=sum(row.given_up for row in rows))


def _measure(seed: int) -> list[RowUse]:
    seconds = INTERVAL.total_seconds()
    quotas = Quotas(lucko_bets=seconds, vertexplay_betlogs=seconds, vertexplay_auth=seconds)
    config = SimConfig(seed=seed, port=0, agents=AGENTS, quota=quotas)
    first = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    # Workers fork from a process that has imported everything: sixteen of them importing would be all that is measured.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.quota_workers"])
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
        base = Path(folder)
        with EmbeddedPostgres(base / "pg") as postgres, _simulator(context, config, first) as (url, report):
            warehouse = postgres.url("bench")
            postgres.create_database("bench")
            upgrade(warehouse)
            works = list(_works(config, url, first, str(warehouse), base / "landing"))
            with ProcessPoolExecutor(max_workers=len(works), mp_context=context) as pool:
                pages = sum(pool.map(pull_all, works))
            calls, arrivals = report()
            with psycopg.connect(conninfo(warehouse)) as connection:
                found = connection.execute("SELECT endpoint || merchant_id, given_up FROM ops.quota").fetchall()
                given_up = {str(name): int(count) for name, count in found}
    assert pages == len(works) * CALLS_PER_PROCESS
    return [_row_use(agent, calls, arrivals, given_up) for agent in AGENTS]


def _row_use(
    agent: Agent, calls: list[dict[str, Any]], arrivals: dict[Any, list[float]], given_up: dict[str, int]
) -> RowUse:
    feed, provider = FEEDS[agent.provider][0], agent.provider
    return RowUse(
        provider=provider,
        arrivals=tuple(sorted(arrivals[(provider, feed, agent.agent_id)])),
        # Calls for tokens too.
        violations=sum(one["violations"] for one in calls if one["agent"] == agent.agent_id),
        given_up=given_up[f"{feed_spec(provider, feed).endpoint}{agent.agent_id}"],
    )


@contextmanager
def _simulator(context: ForkServerContext, config: SimConfig, first: datetime) -> Iterator[tuple[str, Any]]:
    """Run the simulator in a process of its own; yields its URL and what fetches its report."""
    ours, theirs = context.Pipe()
    feeds = {provider: simulated for provider, (_, simulated, _) in FEEDS.items()}
    process = context.Process(target=simulate, args=(config, theirs, feeds, first, first + timedelta(days=2)))
    process.start()
    theirs.close()

    def report() -> Any:
        ours.send("report")
        return ours.recv()

    try:
        yield ours.recv(), report
    finally:
        ours.close()
        process.join(30)
        if process.is_alive():
            process.kill()
            process.join()


def _works(config: SimConfig, url: str, first: datetime, warehouse: str, landing: Path) -> Iterator[Work]:
    known = connections(config, url=url)
    for place, agent in enumerate(AGENTS):
        feed, _, width = FEEDS[agent.provider]
        for number in range(PROCESSES_PER_AGENT):
            starts = [first + width * (number + PROCESSES_PER_AGENT * n) for n in range(CALLS_PER_PROCESS)]
            yield Work(
                delay=STAGGER * (len(AGENTS) * number + place),
                provider=agent.provider,
                feed=feed,
                conn_id=config.conn_id(agent),
                connection=known[config.conn_id(agent)],
                slices=tuple((start, start + width) for start in starts),
                interval=INTERVAL,
                warehouse=warehouse,
                landing=landing,
            )


BENCHMARK = Benchmark(
    name="quota_utilisation",
    measures="4 processes for each of 4 agents against the simulator's own count: none too early, few slots unused",
    run=run,
)
