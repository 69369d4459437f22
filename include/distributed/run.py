"""One run: start what the compose file describes, let it read a day, kill a worker, compare with the truth."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from chaos.truth import SHAPES, Differences, compare
from demo.airflow_api import AirflowApi
from demo.cost import memory_mib, processor_seconds
from demo.postgres import EmbeddedPostgres
from demo.processes import Processes
from demo.scenario import SIMULATOR_QUOTA_SCALE, Scenario
from demo.simulated import SimulatedProviders, merchant_id
from distributed.cluster import Cluster, fresh_secrets
from distributed.compose import Compose
from distributed.native import Machine
from distributed.watch import TaskTry, certified_slices, running_on, slices_by_host, states_of

WORKER = "airflow-worker"
WORKERS = 2
#: Tasks a worker runs at a time: the processors have other things to do as well.
CONCURRENCY = 4
#: The compose file's waiting times, shortened with everything else: seconds.
HEARTBEAT_TIMEOUT, QUEUED_TIMEOUT = 20, 45
#: No worker dies before so much is certified: what it has finished and what it holds is then of several kinds.
KILL_AT = 0.2
FEEDS = ("lucko__bets", "lucko__rebates", "hotroad__summary", "jdb__daily", "vertexplay__betlogs")
AGENT = "demo"


@dataclass(kw_only=True)
class Outcome:
    """What came of a run; ``complaints`` is empty when all is as it has to be."""

    slices: int
    killed: int
    differences: Differences
    violations: int
    by_host: dict[str, int]
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"distributed: {WORKERS} workers, {self.slices} slices, {self.killed} worker killed, "
            f"{self.differences.lost} lost, {self.differences.duplicated} duplicated, "
            f"{self.violations} quota violations"
        )


@dataclass(kw_only=True)
class Run:
    """One run in *folder*; *packages* is the virtual environment that stands for the image. Raises TimeoutError."""

    folder: Path
    packages: Path
    timeout: float

    def run(self) -> Outcome:
        """Do it. Whatever happens, every process has ended afterwards."""
        self.started = time.monotonic()
        self.scenario = Scenario.of(datetime.now(UTC), days=1)
        feeds = self.folder / "feeds.yaml"
        self.scenario.write_feeds(feeds)
        variables = fresh_secrets() | {
            "TIEOUT_FEEDS": str(feeds),
            "AIRFLOW_WORKER_CONCURRENCY": str(CONCURRENCY),
            "AIRFLOW_TASK_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
            "AIRFLOW_TASK_QUEUED_TIMEOUT": str(QUEUED_TIMEOUT),
        }
        with ExitStack() as stack:
            postgres = stack.enter_context(EmbeddedPostgres(self.folder / "postgres"))
            processes = stack.enter_context(Processes(self.folder / "logs", self.folder / "processes.json"))
            compose = Compose.read(variables)
            machine = Machine(
                compose=compose, folder=self.folder, packages=self.packages, socket_dir=postgres.socket_dir
            )
            simulator_port = machine.port("localhost:8099")
            cluster = Cluster(
                compose=compose, machine=machine, postgres=postgres, processes=processes, say=self.say,
                scale={WORKER: WORKERS}, more={"simulator": self.scenario.simulator_arguments(simulator_port)},
            )  # fmt: skip
            self.start(cluster)
            airflow = AirflowApi(
                f"http://127.0.0.1:{machine.port('airflow-apiserver:8080')}", variables["AIRFLOW_ADMIN_PASSWORD"]
            )
            airflow.wait_until_healthy(processes.check)
            self.say(f"Airflow and {WORKERS} workers are ready at {airflow.url}")
            metadata, ledger = (stack.enter_context(_connect(postgres, name)) for name in ("airflow", "tieout"))
            before = {child.name: processor_seconds(child) for child in cluster.running[WORKER]}
            self.unpause(airflow, processes)
            self.wait_for(ledger, processes, share=KILL_AT)
            victim, interrupted = self.kill_a_worker(cluster, metadata)
            self.wait_for(ledger, processes, share=1.0)
            self.wait_for_tasks(metadata, processes, interrupted)
            outcome = self.judge(metadata, ledger, SimulatedProviders(simulator_port, self.scenario))
            outcome.complaints += self.judge_recovery(states_of(metadata, interrupted), victim)
            for child in cluster.running[WORKER]:
                if child.name != victim:
                    self.tell_cost(child.name, processor_seconds(child) - before[child.name], outcome)
            return outcome

    def start(self, cluster: Cluster) -> None:
        """Start all services, those of the demo's profile last."""
        self.say("starting PostgreSQL, Redis and Airflow as docker-compose.yaml has them …")
        self.say(f"the simulator enforces 1/{1 / SIMULATOR_QUOTA_SCALE:.0f} of the documented intervals")
        every = cluster.compose.services.values()
        cluster.up(*(one.name for one in sorted(every, key=lambda one: bool(one.definition.get("profiles")))))

    def unpause(self, airflow: AirflowApi, processes: Processes) -> None:
        """Let the feeds' DAGs run, once the dag-processor has found them."""
        wanted = {f"{feed}__{AGENT}" for feed in FEEDS}
        while True:
            self._check(processes)
            known = {dag["dag_id"] for dag in airflow.call("GET", "/dags?limit=100")["dags"]}
            if wanted <= known:
                break
            time.sleep(1)
        for dag_id in sorted(wanted):
            airflow.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def wait_for(self, ledger: psycopg.Connection, processes: Processes, *, share: float) -> None:
        """Return when so large a share of the slices is certified; say so from time to time."""
        said = 0.0
        while True:
            self._check(processes)
            certified, expected = certified_slices(ledger)
            if time.monotonic() - said > 10 or certified == expected:
                self.say(f"slices certified: {certified} of {expected}")
                said = time.monotonic()
            if expected and certified >= share * expected:
                return
            time.sleep(0.5)

    def kill_a_worker(self, cluster: Cluster, metadata: psycopg.Connection) -> tuple[str, list[TaskTry]]:
        """Kill the first worker that is seen to pull, with all of its processes; return it and what it was running.

        It is frozen before Airflow is asked what runs on it: what is running then ends only if we let it.
        """
        victims = dict(zip(cluster.hostnames(WORKER), cluster.running[WORKER], strict=True))
        while True:
            self._check(cluster.processes)
            if len(slices_by_host(metadata)) < WORKERS:
                time.sleep(0.5)
                continue
            for hostname, child in victims.items():
                if not any(task.task_id == "pull_slice" for task in running_on(metadata, hostname)):
                    continue
                cluster.processes.freeze(child)
                held = running_on(metadata, hostname)
                memory = memory_mib(child)
                if any(task.task_id == "pull_slice" for task in held):
                    cluster.processes.kill(child)
                    self.say(
                        f"killed {hostname} with all its processes ({memory:.0f} MiB) while it ran {len(held)} tasks:"
                    )
                    for task in held:
                        self.say(f"  {task}")
                    return hostname, held
                cluster.processes.thaw(child)
            time.sleep(0.1)

    def wait_for_tasks(self, metadata: psycopg.Connection, processes: Processes, tasks: list[TaskTry]) -> None:
        """Return when what the dead worker had been running has been run again."""
        while any(state != "success" for state, _ in states_of(metadata, tasks).values()):
            self._check(processes)
            time.sleep(0.5)

    def judge(self, metadata: psycopg.Connection, ledger: psycopg.Connection, simulator: SimulatedProviders) -> Outcome:
        """Compare every row with the provider's, and count what there is to count."""
        differences = Differences()
        for feed in SHAPES:
            provider, name = feed.split("_", 1)
            jdb = provider == "jdb"
            compare(
                ledger, simulator.url, feed=feed, agent=AGENT, merchant=merchant_id(provider),
                start=self.scenario.jdb_start if jdb else self.scenario.start,
                end=self.scenario.jdb_stop if jdb else self.scenario.end, into=differences,
            )  # fmt: skip
            self.say(f"{provider} {name}: compared; {differences.rows} rows so far")
        certified, _ = certified_slices(ledger)
        outcome = Outcome(
            slices=certified, killed=1, differences=differences, violations=simulator.violations(),
            by_host=slices_by_host(metadata),
        )  # fmt: skip
        outcome.complaints += _complaints(outcome)
        for host, count in outcome.by_host.items():
            self.say(f"{host} pulled {count} slices")
        return outcome

    def judge_recovery(self, interrupted: dict[TaskTry, tuple[str, str]], victim: str) -> list[str]:
        """Say who ran again what the dead worker had been running; return what is wrong with that.

        A task whose last word was on its way to the API server when its worker was frozen has not been interrupted.
        """
        again = {task: host for task, (_, host) in interrupted.items() if host != victim}
        self.say(
            f"{len(again)} of the {len(interrupted)} tasks were run again by {', '.join(sorted({*again.values()}))}"
        )
        return [] if again else [f"nothing that {victim} was running was run again by another worker"]

    def tell_cost(self, hostname: str, seconds: float, outcome: Outcome) -> None:
        """Say what a slice cost its worker; the rest (scheduler, API server, databases) is not in it."""
        slices = outcome.by_host[hostname]
        self.say(
            f"{hostname} spent {seconds / slices:.2f} processor-seconds a slice (two tasks), on a machine this busy"
        )

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", flush=True)

    def _check(self, processes: Processes) -> None:
        processes.check()
        if time.monotonic() - self.started > self.timeout:
            raise TimeoutError(f"not done after {self.timeout:.0f} s; the logs are in {self.folder / 'logs'}")


def _complaints(outcome: Outcome) -> list[str]:
    found = list(outcome.differences.examples)
    if not outcome.differences.rows:
        found.append("the simulator has no rows to compare with")
    if outcome.violations:
        found.append(f"{outcome.violations} calls came sooner than the quota allows")
    if len(outcome.by_host) != WORKERS:
        found.append(f"not every worker has pulled slices: {outcome.by_host}")
    if sum(outcome.by_host.values()) != outcome.slices:
        found.append(f"{outcome.slices} slices are certified, {outcome.by_host} were pulled")
    return found


def _connect(postgres: EmbeddedPostgres, database: str) -> psycopg.Connection:
    return psycopg.connect(host=str(postgres.socket_dir), user="postgres", dbname=database, autocommit=True)
