"""A run of chaos: everything is read while faults, kills, crashes and restatements happen; then it is mended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import requests
import yaml

from chaos.crew import Crew
from chaos.plan import OVERSIZE, Plan
from chaos.truth import SHAPES, Differences, compare, truth_rows
from chaos.worker import Settings, Task, log_to
from demo.postgres import EmbeddedPostgres
from demo.processes import Processes
from demo.simulated import start_simulator
from simulator.config import config_from_mapping
from simulator.connections import connections
from tieout.core import ledger
from tieout.core.coverage import join_slices, repairs
from tieout.core.slices import Slice
from tieout.core.warehouse import connect
from tieout.feeds import AgentFeed, parse_agents
from tieout.migrations import upgrade

log = logging.getLogger(__name__)

DATABASE = "chaos"
REPAIR_ROUNDS = 12
#: Calls a provider's faults may meet before the run gives up repairing under them and switches them off.
FAULTY_ROUNDS = 4
HANG_SECONDS = 4.0
#: Seconds. A run that takes longer hangs, or its machine does: it fails instead of waiting.
LONGEST_RUN = 720.0
THROTTLES = ("throttle", "http_429")


@dataclass(kw_only=True)
class Report:
    """What happened, and what is left of it."""

    seed: int
    slices: int = 0
    calls: int = 0
    faulty_calls: int = 0
    faults: int = 0
    worker_kills: int = 0
    restarts: int = 0
    uncertified: int = 0
    violations: int = 0
    utilisation: float = 0.0
    bugs: list[str] = field(default_factory=list)
    differences: Differences = field(default_factory=Differences)

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, doubled, wrong, open or against a quota, and enough went wrong to say so."""
        found = self.differences
        clean = not (found.lost or found.duplicated or found.wrong or self.violations or self.uncertified)
        return clean and not self.bugs and self.faults >= 0.2 * self.faulty_calls

    def __str__(self) -> str:
        found = self.differences
        return (
            f"chaos: {self.slices} slices, {self.faults} faults, {self.worker_kills + self.restarts} kills, "
            f"{found.lost} lost, {found.duplicated} duplicated, {found.wrong} wrong, "
            f"{self.violations} quota violations, utilisation {self.utilisation:.2f}"
        )


@dataclass(kw_only=True)
class Chaos:
    """One run in *folder*, which it fills: a database, landing, logs. *say* gets a line at every turn."""

    plan: Plan
    folder: Path
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.random = Random(self.plan.seed)
        self.deadline = time.monotonic() + LONGEST_RUN
        self.feeds: list[AgentFeed] = [feed for agent in parse_agents(self.plan.feeds_yaml()) for feed in agent.feeds]
        self.report = Report(seed=self.plan.seed)

    def run(self) -> Report:
        """Do it and report."""
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        log_to(str(self.folder / "logs" / "chaos.log"))
        with ExitStack() as stack:
            self.postgres = stack.enter_context(EmbeddedPostgres(self.folder / "pg"))
            self.postgres.create_database(DATABASE)
            self.url = self.postgres.url(DATABASE)
            upgrade(self.url)
            with connect(self.url) as connection:
                ledger.declare(connection, [feed.declaration() for feed in self.feeds], {})
            processes = stack.enter_context(
                Processes(folder=self.folder / "logs", register=self.folder / "processes.json")
            )
            self.simulator = self._start_simulator(processes)
            self._make_world()
            crew = stack.enter_context(Crew(settings=self._settings(), size=self.plan.workers, deadline=self.deadline))
            self._read_everything(crew)
            self._repair(crew)
            self._revisit(crew)
            self.report.worker_kills = crew.killed
            self.report.bugs = [detail for _, detail in crew.bugs]
            self._judge()
        return self.report

    # -- the three rounds -----------------------------------------------------------------------------------

    def _read_everything(self, crew: Crew) -> None:
        tasks = [task for feed in self.feeds for task in self._first_tasks(feed)]
        self.report.slices = len(tasks)
        self.say(f"{len(tasks)} slices, {len(self.feeds)} feeds, {self.plan.workers} workers, faults on")
        self._switch_faults_on()
        crew.run(self._interleaved(tasks), meanwhile=Fiend(chaos=self, crew=crew).look)
        self.say(
            f"read: {crew.killed} workers killed, PostgreSQL crashed {self.report.restarts} times, "
            f"{len(crew.suspect)} suspect readings, {len(crew.fatal)} failed tasks, {sum(crew.tries.values())} retries"
        )

    def _repair(self, crew: Crew) -> None:
        for number in range(1, REPAIR_ROUNDS + 1):
            if number == FAULTY_ROUNDS:
                self._switch_faults_off()
            tasks = [task for feed in self.feeds for task in self._repair_tasks(feed)]
            if not tasks:
                self.say(f"repaired after {number - 1} rounds")
                return
            self.say(f"repair round {number}: {len(tasks)} slices")
            crew.run(tasks)

    def _revisit(self, crew: Crew) -> None:
        """The world changed after slices were read: their last revisit, joined, over providers that behave."""
        self._switch_faults_off()
        tasks = [
            Task(
                dag_id=feed.dag_id, start=group[0].start, end=group[-1].end, kind="revisit",
                slices=tuple((piece.start, piece.end) for piece in group) if len(group) > 1 else (),
            )
            for feed in self.feeds
            for group in join_slices(list(self._slices(feed)), feed.spec.joined_width)
        ]  # fmt: skip
        self.say(f"revisit: {len(tasks)} joined ranges")
        crew.run(tasks)

    def _judge(self) -> None:
        self._count_calls()
        with connect(self.url, autocommit=True) as db:
            row = db.execute("SELECT count(*) FROM ops.slice_status WHERE status <> 'certified'").fetchone()
            self.report.uncertified = row[0] if row else -1
            for feed in self.feeds:
                compare(
                    db, self.simulator, feed=feed.spec.id.replace("__", "_"), agent=feed.agent,
                    start=self.plan.begin(feed.spec.name), end=self.plan.stop(feed.spec.name),
                    into=self.report.differences,
                )  # fmt: skip
        assert SHAPES.keys() == {feed.spec.id.replace("__", "_") for feed in self.feeds}

    # -- what the rounds need -------------------------------------------------------------------------------

    def _slices(self, feed: AgentFeed) -> Iterator[Slice]:
        name = feed.spec.name
        return Slice(self.plan.begin(name), self.plan.stop(name)).split(feed.slice_width)

    def _first_tasks(self, feed: AgentFeed) -> Iterator[Task]:
        return (Task(dag_id=feed.dag_id, start=one.start, end=one.end, kind="first") for one in self._slices(feed))

    def _repair_tasks(self, feed: AgentFeed) -> list[Task]:
        with connect(self.url) as connection:
            found = repairs(
                connection, feed, until=self.plan.stop(feed.spec.name), everything=True, settle=timedelta(0)
            )
        return [Task(dag_id=feed.dag_id, start=one.slice.start, end=one.slice.end, kind="repair") for one in found]

    def _interleaved(self, tasks: list[Task]) -> list[Task]:
        """Oldest first inside a feed, feeds in any order: as a scheduler with many DAGs would."""
        queues = {feed.dag_id: [task for task in tasks if task.dag_id == feed.dag_id] for feed in self.feeds}
        mixed = [dag_id for dag_id, queue in queues.items() for _ in queue]
        self.random.shuffle(mixed)
        return [queues[dag_id].pop(0) for dag_id in mixed]

    def _start_simulator(self, processes: Processes) -> str:
        config = self.folder / "simulator.yaml"
        config.write_text(yaml.safe_dump(self.plan.simulator_settings()))
        return start_simulator(processes, config)

    def _make_world(self) -> None:
        """Have the simulator make its world now: later, that would keep it from noticing when calls arrive."""
        for feed in self.feeds:
            name = feed.spec.name
            rows = truth_rows(
                self.simulator, feed=feed.spec.id.replace("__", "_"), agent=feed.agent, start=self.plan.begin(name),
                end=self.plan.stop(name),
            )  # fmt: skip
            self.say(f"{feed.dag_id}: {sum(1 for _ in rows)} rows at the provider")

    def _settings(self) -> Settings:
        config = config_from_mapping(self.plan.simulator_settings())
        found = connections(config, url=self.simulator)
        for name, fields in found.items():
            if name.startswith("hotroad"):
                # HotRoad publishes no code table; this is what the simulator answers to calls that come too soon.
                fields["extra"]["retry_codes"] = "1004"
        return Settings(
            url=self.url.render_as_string(hide_password=False),
            landing=str(self.folder / "landing"),
            feeds_yaml=self.plan.feeds_yaml(),
            connections=found,
            log=str(self.folder / "logs" / "workers.log"),
        )

    # -- what goes wrong ------------------------------------------------------------------------------------

    def crash_postgres(self) -> None:
        """Restart PostgreSQL as after a power cut."""
        self.postgres.restart(mode="immediate")
        self.report.restarts += 1

    def change_world(self) -> None:
        """Restate, void, add: a share of the rows of one feed of one agent, by the simulator's own dice."""
        feed = self.random.choice(self.feeds)
        self._post(
            "world/change",
            {
                "feed": feed.spec.id.replace("__", "_"), "agent": feed.agent, "share": 0.1,
                "from": self.plan.begin(feed.spec.name).isoformat(), "to": self.plan.stop(feed.spec.name).isoformat(),
                "seed": self.random.randrange(1 << 30),
            },
        )  # fmt: skip

    def _switch_faults_on(self) -> None:
        kinds = requests.get(f"{self.simulator}/_sim/faults", timeout=60).json()["kinds"]
        fault = {"variant": "any", "seconds": HANG_SECONDS, "size": OVERSIZE}
        # Throttle answers have Lucko's calls spaced six times as far apart for hours: its share is the others' alone.
        seen = [("lucko", [kind for kind in kinds if kind not in THROTTLES])]
        seen += [(provider, list(kinds)) for provider in ("hotroad", "jdb", "vertexplay")]
        for number, (provider, names) in enumerate(seen):
            self._post(
                "faults",
                {**fault, "name": names, "provider": provider, "probability": self.plan.fault_share,
                 "seed": self.plan.seed + number},
            )  # fmt: skip

    def _switch_faults_off(self) -> None:
        self._count_faults()
        requests.delete(f"{self.simulator}/_sim/faults", timeout=60).raise_for_status()

    def _count_faults(self) -> None:
        answer = requests.get(f"{self.simulator}/_sim/faults", timeout=60)
        answer.raise_for_status()
        if answer.json()["active"]:
            self.report.faults = int(answer.json()["fired"]["total"])
            self.report.faulty_calls = sum(int(entry["calls"]) for entry in self._calls())

    def _count_calls(self) -> None:
        entries = self._calls()
        self.report.calls = sum(int(entry["calls"]) for entry in entries)
        self.report.violations = sum(int(entry["violations"]) for entry in entries)
        early = [
            f"{entry['violations']} of {entry['calls']} to {entry['provider']} {entry['endpoint']} {entry['agent']}"
            for entry in entries
            if entry["violations"]
        ]
        self.say(f"calls that came too soon: {', '.join(early) or 'none'}")
        # Of the busiest quota: its calls, each as long as its interval, in the time from the first to the last.
        busiest = max(entries, key=lambda entry: int(entry["accepted"]))
        seconds = (busiest["last_at"] - busiest["first_at"]) / 1000
        self.report.utilisation = busiest["accepted"] * self.plan.enforced / max(seconds, self.plan.enforced)

    def _calls(self) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.simulator}/_sim/calls", timeout=60)
        answer.raise_for_status()
        entries: list[dict[str, Any]] = answer.json()
        return entries

    def _post(self, path: str, body: dict[str, Any]) -> None:
        answer = requests.post(f"{self.simulator}/_sim/{path}", json=body, timeout=60)
        if answer.status_code != 200:
            raise RuntimeError(f"the simulator refused {path} {body}: {answer.text}")


class Fiend:
    """Kills, crashes and changes at moments drawn beforehand, as shares of the work done."""

    def __init__(self, *, chaos: Chaos, crew: Crew) -> None:
        self._chaos = chaos
        plan, random = chaos.plan, chaos.random
        deeds = {
            self._kill(crew): plan.kills,
            chaos.crash_postgres: plan.restarts,
            chaos.change_world: plan.changes,
        }
        moments = [(random.uniform(0.02, 0.95), deed) for deed, times in deeds.items() for _ in range(times)]
        self._moments = sorted(moments, key=lambda moment: moment[0])

    def look(self, done: float) -> None:
        """Do what is due."""
        while self._moments and self._moments[0][0] <= done:
            self._moments.pop(0)[1]()

    def _kill(self, crew: Crew) -> Callable[[], None]:
        return lambda: crew.kill_one(self._chaos.random.choice)
