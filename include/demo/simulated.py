"""The simulated providers of a scenario, as a program of their own."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from airflow.sdk import Connection

from demo.processes import Processes
from demo.scenario import Scenario
from simulator import DEFAULT_AGENTS, SimConfig, connections

START_SECONDS = 60.0
_LISTENS = re.compile(r"http://\S+?:\d+")


def as_connection(conn_id: str, fields: Mapping[str, Any]) -> Connection:
    """Return one of the simulator's connections as Airflow would hand it to a hook."""
    plain = {name: value for name, value in fields.items() if name != "extra"}
    return Connection(conn_id=conn_id, extra=json.dumps(fields["extra"]), **plain)


def start_simulator(processes: Processes, config: Path) -> str:
    """Start the simulator with the settings in *config* and return its URL, once it says that it listens."""
    # It runs in another folder: its modules are found where these are.
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "simulator", "--config", str(config)]
    child = processes.start("simulator", command, {**os.environ, "PYTHONPATH": path})
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        processes.check()
        found = _LISTENS.search(child.log.read_text())
        if found:
            return found[0]
        time.sleep(0.05)
    raise RuntimeError(f"the simulator does not say where it listens; see {child.log}")


class SimulatedProviders:
    """The simulator as the demo uses it: started as the stand-alone program it is, asked over HTTP."""

    def __init__(self, port: int, scenario: Scenario) -> None:
        self.port = port
        self.scenario = scenario
        self.arguments = scenario.simulator_arguments(port)
        self.url = f"http://127.0.0.1:{port}"

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "simulator", *self.arguments]

    def connections(self) -> dict[str, Any]:
        """Return the Airflow connections of its agents."""
        found = connections(SimConfig(port=self.port), url=self.url)
        # HotRoad publishes no code table; 1004 is what the simulator answers to calls that come too soon.
        found["hotroad_demo"]["extra"]["retry_codes"] = "1004"
        return found

    def planted(self) -> list[dict[str, Any]]:
        """Return the breaks planted in the scenario's world."""
        answer = requests.get(
            f"{self.url}/_sim/truth/breaks",
            params={
                "agent": merchant_id("lucko"),
                "from": str(int(self.scenario.start.timestamp()) * 1000),
                "to": str(int(self.scenario.end.timestamp()) * 1000),
            },
            timeout=60,
        )
        answer.raise_for_status()
        planted: list[dict[str, Any]] = answer.json()
        return planted

    def violations(self) -> int:
        """Return how many calls came sooner than the quota allows, by the simulator's own count."""
        answer = requests.get(f"{self.url}/_sim/calls", timeout=60)
        answer.raise_for_status()
        return sum(int(entry["violations"]) for entry in answer.json())


def merchant_id(provider: str) -> str:
    """Return what the simulator calls the agent of *provider* that is there unless others are asked for."""
    return next(agent.agent_id for agent in DEFAULT_AGENTS if agent.provider == provider)
