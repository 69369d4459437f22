"""A catch-up through a real Airflow at documented quota intervals: how much of the time was the quota's.

The provider allows so many calls in so much time; whatever a catch-up takes longer than that is Airflow's and ours.
One agent and ten agents of Lucko and VertexPlay catch up on the same hours, LocalExecutor on this machine.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import requests
import yaml

from bench.framework import Benchmark, Figure, Outcome
from demo.airflow_stack import AirflowStack
from demo.cost import processor_seconds
from demo.postgres import EmbeddedPostgres
from demo.processes import Processes
from demo.simulated import start_simulator
from distributed.watch import certified_slices
from simulator import LuckoAgent, SimConfig, VertexPlayAgent, connections
from simulator.agents import Agent
from tieout.core.warehouse import conninfo

BETS_PER_HOUR = 60


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """``hours`` of every feed, once for one agent of each provider and once for ``many`` of them."""

    hours: int = 24
    many: int = 10
    timeout: float = 1800


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """One catch-up. Seconds; ``bound`` is what the quotas alone need, of the feed that needs most.

    ``early``: how many calls came too early, by provider and endpoint.
    """

    agents: int
    slices: int
    seconds: float
    bound: float
    early: Counter[str]
    scheduler_cpu: float
    all_cpu: float

    @property
    def efficiency(self) -> float:
        """The part of the time that the quotas needed."""
        return self.bound / self.seconds


def run(seed: int) -> Outcome:
    """Measure the default sizes."""
    return measure(Sizes(), seed)


def measure(sizes: Sizes, seed: int) -> Outcome:
    """Measure any sizes."""
    one, many = (_catch_up(agents, sizes, seed) for agents in (1, sizes.many))
    return Outcome(
        figures=(*_figures(one, at_least=0.9), *_figures(many, at_least=0.8)),
        sizes={
            "hours": sizes.hours, "bets_per_hour": BETS_PER_HOUR, "agents": sizes.many,
            "feeds": "Lucko bets and rebates, VertexPlay bet logs", "too_early": dict(one.early + many.early),
        },
    )  # fmt: skip


def _figures(caught_up: CaughtUp, *, at_least: float) -> Iterator[Figure]:
    who = "1 agent" if caught_up.agents == 1 else f"{caught_up.agents} agents"
    yield Figure(name=f"{who}: wall time", value=caught_up.seconds, unit="s")
    yield Figure(name=f"{who}: the quotas alone", value=caught_up.bound, unit="s")
    yield Figure(name=f"{who}: quotas / wall time", value=caught_up.efficiency, at_least=at_least)
    yield Figure(name=f"{who}: calls too early", value=caught_up.early.total(), at_most=0)
    yield Figure(
        name=f"{who}: scheduler's CPU a slice", value=1000 * caught_up.scheduler_cpu / caught_up.slices, unit="ms"
    )
    yield Figure(name=f"{who}: all CPU a slice", value=1000 * caught_up.all_cpu / caught_up.slices, unit="ms")


BENCHMARK = Benchmark(
    name="backfill",
    measures="a day of 1 and of 10 agents through a real Airflow at documented quotas",
    run=run,
    takes_long=True,
)


def _catch_up(agents: int, sizes: Sizes, seed: int) -> CaughtUp:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    stop = start + timedelta(hours=sizes.hours)
    known = tuple(_agents(agents))
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name:
        home = Path(name)
        # PostgreSQL runs as a user of its own when this one is root.
        home.chmod(0o755)
        config = home / "simulator.yaml"
        config.write_text(yaml.safe_dump(_simulated(known, seed, start, stop)))
        feeds = home / "feeds.yaml"
        feeds.write_text(yaml.safe_dump({"agents": list(_declared(known, start, stop))}))
        with (
            EmbeddedPostgres(home / "postgres") as postgres,
            Processes(home / "logs", home / "processes.json") as processes,
        ):
            url = start_simulator(processes, config)
            _favour(processes)
            stack = AirflowStack(
                home=home, postgres=postgres, processes=processes, feeds=feeds,
                connections=connections(SimConfig(agents=known), url=url),
                # A pull waits for its quota most of the time: every feed may have one waiting and one that ends.
                pull_slots=4 * agents + 2, parallelism=5 * agents + 3,
            )  # fmt: skip
            stack.prepare()
            stack.start()
            stack.wait_until_ready()
            _wait_until_certified(stack, sizes.timeout)
            seconds, slices = _times(stack)
            scheduler_cpu = _scheduler_cpu(processes)
            # The simulator is the provider: no part of what a slice costs.
            all_cpu = sum(processor_seconds(child) for child in processes.children if child.name != "simulator")
            calls = requests.get(f"{url}/_sim/calls", timeout=60).json()
    return CaughtUp(
        agents=agents, slices=slices, seconds=seconds, bound=_bound(calls),
        early=_early(calls),
        scheduler_cpu=scheduler_cpu, all_cpu=all_cpu,
    )  # fmt: skip


def _favour(processes: Processes) -> None:
    """Have the simulator never wait for a processor: a provider has its own. Without the right to, it waits."""
    with suppress(psutil.AccessDenied):
        for child in processes.children:
            psutil.Process(child.process.pid).nice(-10)


def _agents(number: int) -> Iterator[Agent]:
    for n in range(number):
        yield LuckoAgent(
            agent_id=f"l{n}", sign_key=f"bench-lucko-{n}", bets_per_hour=BETS_PER_HOUR, conn_id=f"lucko_a{n}"
        )
        yield VertexPlayAgent(
            agent_id=f"v{n}", secret=f"bench-vertexplay-{n}", api_key=f"{n:02x}" * 32, bets_per_hour=BETS_PER_HOUR,
            conn_id=f"vertexplay_a{n}",
        )  # fmt: skip


def _simulated(agents: tuple[Agent, ...], seed: int, start: datetime, stop: datetime) -> Mapping[str, Any]:
    listed: dict[str, list[dict[str, Any]]] = {"lucko": [], "vertexplay": []}
    for agent in agents:
        fields = ("agent_id", "bets_per_hour", "conn_id", "sign_key", "secret", "api_key")
        listed[agent.provider].append({name: getattr(agent, name) for name in fields if hasattr(agent, name)})
    return {
        "seed": seed, "port": 0, "agents": listed,
        "activity_from": start.isoformat(), "activity_until": stop.isoformat(),
    }  # fmt: skip


def _declared(agents: tuple[Agent, ...], start: datetime, stop: datetime) -> Iterator[dict[str, Any]]:
    for agent in agents:
        yield {
            "provider": agent.provider, "agent": agent.conn_id.rpartition("_")[2], "conn_id": agent.conn_id,
            "start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "stop": f"{stop:%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip


def _wait_until_certified(stack: AirflowStack, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    with psycopg.connect(conninfo(stack.warehouse_url), autocommit=True) as connection:
        while True:
            stack.processes.check()
            certified, expected = certified_slices(connection)
            if expected and expected == certified:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{certified} of {expected} slices are certified after {timeout:.0f} s")
            time.sleep(1)


def _times(stack: AirflowStack) -> tuple[float, int]:
    """Return the seconds from the first run that Airflow made to the last certificate, and the number of slices."""
    with psycopg.connect(conninfo(stack.postgres.url(stack.metadata))) as connection:
        (began,) = connection.execute(
            "SELECT min(queued_at) FROM dag_run WHERE dag_id ~ '__(bets|rebates|betlogs)__'"
        ).fetchone() or (None,)
    with psycopg.connect(conninfo(stack.warehouse_url)) as connection:
        ended, slices = connection.execute(
            """SELECT max(loaded_at), count(DISTINCT (provider, feed, agent, slice_start)) FROM ops.readings
               WHERE kind = 'first' AND state = 'certified'"""
        ).fetchone() or (None, 0)
    assert began is not None
    assert ended is not None
    return (ended - began).total_seconds(), slices


def _early(calls: list[dict[str, Any]]) -> Counter[str]:
    found = Counter[str]()
    for entry in calls:
        found[f"{entry['provider']} {entry['endpoint']}"] += int(entry["violations"])
    return +found


def _bound(calls: list[dict[str, Any]]) -> float:
    """Return the seconds that the slowest quota needs from its first call to its last."""
    return float(max((entry["accepted"] - 1) * entry["interval_ms"] for entry in calls)) / 1000


def _scheduler_cpu(processes: Processes) -> float:
    """Return the processor seconds of the scheduler itself, without the tasks that LocalExecutor starts below it."""
    (pid,) = (child.process.pid for child in processes.children if child.name == "scheduler")
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
