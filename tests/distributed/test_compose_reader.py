"""The compose file as processes of one machine: reading it, and putting this machine in the containers' place."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import yaml

from demo.processes import Processes
from distributed.__main__ import main
from distributed.cluster import fresh_secrets
from distributed.compose import FILE, ROOT, Compose, Missing, Service, interpolate
from distributed.native import Machine
from distributed.run import Outcome, _complaints
from distributed.watch import TaskTry

SMALL = """\
x-common: &common
  image: ${IMAGE:-one:local}
  environment: &env
    PASSWORD: ${PASSWORD:?set PASSWORD}
    FEEDS: ${FEEDS:-/opt/airflow/include/feeds.yaml}
  volumes: [data:/opt/airflow/data, ./include:/opt/airflow/include:ro]
services:
  first:
    <<: *common
    command: celery worker
    environment: {<<: *env, COST: "$$5", WORKERS: 2}
    depends_on: {second: {condition: service_healthy}}
  second:
    command: ["serve", "--key", "${PASSWORD:?set PASSWORD}"]
    healthcheck: {test: ["CMD-SHELL", "ping $${HOSTNAME}"]}
"""


def small(tmp_path: Path, **variables: str) -> Compose:
    path = tmp_path / "compose.yaml"
    path.write_text(SMALL)
    return Compose.read(variables, path)


def test_anchors_variables_and_defaults(tmp_path: Path) -> None:
    first = small(tmp_path, PASSWORD="pw").services["first"]
    assert first.command == ["celery", "worker"]
    assert first.environment == {
        "PASSWORD": "pw", "FEEDS": "/opt/airflow/include/feeds.yaml", "COST": "$5", "WORKERS": "2",
    }  # fmt: skip
    assert first.definition["image"] == "one:local"
    assert [(one.source, one.target) for one in first.mounts] == [
        ("data", "/opt/airflow/data"), ("./include", "/opt/airflow/include"),
    ]  # fmt: skip
    assert first.needs == {"second": "service_healthy"}


def test_a_given_variable_wins_over_the_default_and_an_empty_one_does_not(tmp_path: Path) -> None:
    given = small(tmp_path, PASSWORD="pw", IMAGE="two", FEEDS="").services["first"]
    assert given.definition["image"] == "two"
    assert given.environment["FEEDS"] == "/opt/airflow/include/feeds.yaml"


def test_a_missing_required_variable_says_what_the_file_says(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="PASSWORD: set PASSWORD"):
        small(tmp_path, PASSWORD="")


@pytest.mark.parametrize("text", ["$PASSWORD", "${PASSWORD-x}", "${lower}", "5 $ each"])
def test_a_form_this_reader_does_not_know_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        interpolate({"command": [text]}, {"PASSWORD": "pw"})


def test_health_checks_become_commands(tmp_path: Path) -> None:
    services = small(tmp_path, PASSWORD="pw").services
    assert services["second"].health_check == ["sh", "-c", "ping ${HOSTNAME}"]
    assert services["first"].health_check == []
    with pytest.raises(ValueError, match="NONE"):
        _ = Service("x", {"healthcheck": {"test": ["NONE"]}}).health_check


def test_what_compose_would_refuse_is_refused() -> None:
    with pytest.raises(TypeError, match="DEBUG is True"):
        _ = Service("x", {"environment": {"DEBUG": True}}).environment
    with pytest.raises(ValueError, match="service_ready"):
        _ = Service("x", {"depends_on": {"y": {"condition": "service_ready"}}}).needs


# -- this machine in the containers' place --------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """The project's own file, its secrets filled in, on a machine of this test's."""
    compose = Compose.read(fresh_secrets() | {"TIEOUT_FEEDS": str(tmp_path / "feeds.yaml")})
    return Machine(compose=compose, folder=tmp_path, packages=tmp_path / "packages", socket_dir=tmp_path / "socket")


def test_no_word_of_the_container_network_is_left(machine: Machine) -> None:
    """Every address and path that only containers have is replaced, in commands, environments and health checks."""
    theirs = re.compile(r"/opt/airflow(?!/include/feeds)|@postgres|@redis|airflow-apiserver:|localhost:|simulator:80")
    for service in machine.compose.services.values():
        if service.name == "postgres":
            continue
        words = [*machine.command(service, "host"), *machine.health_check(service)]
        words += [f"{name}={value}" for name, value in machine.environment(service, "host").items()]
        for word in words:
            assert not theirs.search(word), f"{service.name}: {word[:300]}"


def test_what_is_not_an_address_or_a_path_stays_as_the_file_has_it(machine: Machine) -> None:
    scheduler = machine.compose.services["airflow-scheduler"]
    environment = machine.environment(scheduler, "airflow-scheduler")
    changed = {name for name, value in scheduler.environment.items() if environment[name] != value}
    assert changed == {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND", "AIRFLOW__CELERY__BROKER_URL",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
        "TIEOUT_LANDING",
    }  # fmt: skip
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert environment["TIEOUT_LANDING"] == f"file://{machine.folder}/volumes/landing"
    metadata = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert environment["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{metadata}"
    assert metadata.endswith(f"@/airflow?host={machine.socket_dir}")


def test_all_components_see_one_address_of_each_service(machine: Machine) -> None:
    port = machine.port("airflow-apiserver:8080")
    server = machine.compose.services["airflow-apiserver"]
    assert machine.environment(server, "x")["AIRFLOW__API__PORT"] == str(port)
    assert machine.health_check(server)[-1].startswith(f"http://127.0.0.1:{port}/")
    worker = machine.environment(machine.compose.services["airflow-worker"], "x")
    assert worker["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://127.0.0.1:{port}/execution/"
    redis = machine.command(machine.compose.services["redis"], "redis")
    assert redis[redis.index("--port") + 1] in worker["AIRFLOW__CELERY__BROKER_URL"]
    assert redis[redis.index("--bind") + 1] == "127.0.0.1"


def test_workers_differ_by_name_and_ports_only(machine: Machine) -> None:
    worker = machine.compose.services["airflow-worker"]
    one, two = (machine.environment(worker, name) for name in ("w-1", "w-2"))
    assert {name for name in one if one[name] != two[name]} == {
        "HOSTNAME", "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
    }  # fmt: skip
    assert machine.command(worker, "w-1") == ["airflow", "celery", "worker", "--celery-hostname", "celery@w-1"]
    # The file's health check asks the node of that name.
    assert "celery@${HOSTNAME}" in machine.health_check(worker)[-1]


def test_mounts_are_folders_of_the_run_or_of_the_checkout(machine: Machine) -> None:
    simulator = machine.environment(machine.compose.services["simulator"], "simulator")
    assert simulator["PYTHONPATH"] == str(ROOT / "include")
    content = yaml.safe_load(FILE.read_text())["configs"]["demo-feeds"]["content"]
    assert (machine.folder / "configs" / "demo-feeds").read_text().splitlines()[0] == content.splitlines()[0]
    worker = machine.environment(machine.compose.services["airflow-worker"], "w")
    assert Path(worker["TIEOUT_LANDING"].removeprefix("file://")).is_dir()


# -- the end of a run -----------------------------------------------------------------------------------------------


def test_an_outcome_says_what_is_wrong() -> None:
    from chaos.truth import Differences

    good = Outcome(
        slices=3, killed=1, differences=Differences(rows=9), violations=0, by_host={"worker-1": 1, "worker-2": 2}
    )
    assert _complaints(good) == []
    assert str(good) == "distributed: 2 workers, 3 slices, 1 worker killed, 0 lost, 0 duplicated, 0 quota violations"
    alone = Outcome(slices=3, killed=1, differences=Differences(rows=9), violations=2, by_host={"worker-1": 3})
    assert len(_complaints(alone)) == 2
    wrong = Differences(rows=9)
    wrong.note("wrong", "a bet's turnover")
    wrong.note("lost", "a bet")
    bad = Outcome(slices=3, killed=1, differences=wrong, violations=0, by_host={"worker-1": 1, "worker-2": 1})
    assert _complaints(bad) == [
        "wrong: a bet's turnover", "lost: a bet", "3 slices are certified, {'worker-1': 1, 'worker-2': 1} were pulled",
    ]  # fmt: skip


def test_without_redis_it_is_skipped_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("distributed: skipped, there is no redis-server")


def test_a_killed_component_takes_all_of_its_processes_along(tmp_path: Path) -> None:
    """Airflow gives every task a process group of its own, which outlives a signal to the worker's."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(30)
        script = (
            "import os, socket, time\n"
            "if not os.fork():\n"
            "    os.setpgid(0, 0)\n"
            f"socket.create_connection(('127.0.0.1', {listener.getsockname()[1]})).recv(1)\n"
        )
        with Processes(tmp_path, tmp_path / "register.json") as processes:
            child = processes.start("worker", ["python3", "-c", script], {"PATH": "/usr/bin:/bin"})
            ends = [listener.accept()[0] for _ in range(2)]
            processes.kill(child)
            for end in ends:
                # A process that ends closes its connections: this is how both tell.
                end.settimeout(30)
                assert end.recv(1) == b""
                end.close()
            processes.check()
            assert processes.children == []


def test_a_task_is_named_as_people_know_it() -> None:
    one = TaskTry("lucko__bets__demo", "pull_slice", "scheduled__2026-11-19T05:02:00+00:00")
    assert str(one) == "lucko__bets__demo pull_slice 2026-11-19T05:02:00+00:00"
