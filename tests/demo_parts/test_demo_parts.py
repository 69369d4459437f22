"""The pieces of ``make demo`` that a full run does not show: scenarios at any hour, busy ports, dead components."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from demo.__main__ import main
from demo.processes import PortBusy, ProcessDied, Processes, end_leftovers, free_port, require_free_port
from demo.report import Comparison
from demo.scenario import Scenario
from demo.session import SessionFailed, only_one
from tieout.feeds import parse_agents

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.mark.parametrize("hour", range(24))
def test_every_slice_of_the_scenario_is_ready_at_any_hour(hour: int) -> None:
    now = datetime(2028, 3, 1, hour, 59, tzinfo=UTC)
    scenario = Scenario.of(now)
    agents = parse_agents(scenario.feeds_yaml())
    assert [agent.provider for agent in agents] == ["hotroad", "jdb", "lucko", "vertexplay"]
    for agent in agents:
        for feed in agent.feeds:
            assert feed.stop is not None
            assert feed.stop + feed.lag <= now, feed.dag_id
            assert feed.spec.reach is None or feed.start > now - feed.spec.reach


def test_the_scenario_has_two_settlement_days_and_their_rebates() -> None:
    scenario = Scenario.of(datetime(2028, 3, 1, 12, tzinfo=UTC))
    assert scenario.settlement_days == ["2028-02-27", "2028-02-28"]
    assert scenario.end == datetime(2028, 2, 29, 2, tzinfo=UTC)
    assert scenario.jdb_stop - scenario.jdb_start == timedelta(days=2)


def test_a_busy_port_is_named_with_its_setting() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortBusy, match=f"port {port} for Airflow is not free .*; set DEMO_PORT"):
            require_free_port(port, setting="DEMO_PORT", what="Airflow")
    require_free_port(free_port(), setting="DEMO_PORT", what="Airflow")


def test_the_command_line_reports_a_busy_port(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "demo", "--once"],
            env={**os.environ, "DEMO_PORT": str(port), "PYTHONPATH": str(Path(__file__).parents[2] / "include")},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"demo: port {port} for Airflow is not free")


def test_a_port_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DEMO_PORT", "eighty")
    with pytest.raises(SystemExit) as ended:
        main(["--once"])
    assert ended.value.code == 2
    assert "DEMO_PORT='eighty'" in capsys.readouterr().err


def test_only_one_demo_of_a_checkout_runs(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with only_one(lock, what="demo"), pytest.raises(SessionFailed, match="another demo"), only_one(lock, what="demo"):
        pass
    with only_one(lock, what="demo"):
        pass


def test_a_dead_component_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path, tmp_path / "register.json") as processes:
        child = processes.start("scheduler", [sys.executable, "-c", "print('out of memory'); exit(3)"], os.environ)
        child.process.wait(30)
        with pytest.raises(ProcessDied, match=r"(?s)scheduler ended with exit code 3.*out of memory"):
            processes.check()


def test_stopping_ends_the_whole_process_group(tmp_path: Path) -> None:
    script = (
        f"import subprocess, sys; subprocess.Popen({SLEEPER!r}); print('up', flush=True); import time; time.sleep(600)"
    )
    with Processes(tmp_path, tmp_path / "register.json") as processes:
        child = processes.start("scheduler", [sys.executable, "-c", script], os.environ)
        deadline = time.monotonic() + 30
        while "up" not in child.tail() and time.monotonic() < deadline:
            time.sleep(0.05)
        family = [psutil.Process(child.process.pid), *psutil.Process(child.process.pid).children(recursive=True)]
        assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert not (tmp_path / "register.json").exists()


def test_what_a_killed_demo_left_behind_is_ended(tmp_path: Path) -> None:
    register = tmp_path / "register.json"
    processes = Processes(tmp_path, register)
    child = processes.start("simulator", SLEEPER, os.environ)
    assert end_leftovers(register) == ["simulator"]
    assert not psutil.pid_exists(child.process.pid)
    assert end_leftovers(register) == []


def test_a_pid_that_was_given_away_is_left_alone(tmp_path: Path) -> None:
    register = tmp_path / "register.json"
    with Processes(tmp_path, register) as processes:
        child = processes.start("simulator", SLEEPER, os.environ)
        recorded = register.read_text()
        created = psutil.Process(child.process.pid).create_time()
        register.write_text(recorded.replace(str(created), str(created - 100)))
        assert end_leftovers(register) == []
        assert child.process.poll() is None


def test_a_break_counts_only_with_exactly_its_reasons() -> None:
    planted = {"r1": ("turnover",), "r2": ("amount", "turnover")}
    assert Comparison(found=dict(planted), planted=planted).agrees
    wrong = Comparison(found={"r1": ("amount",), "r3": ("turnover",)}, planted=planted)
    assert (wrong.right, wrong.false, wrong.agrees) == (0, 2, False)
    assert not Comparison(found={}, planted={}).agrees
