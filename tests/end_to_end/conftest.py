"""One Airflow for all tests of this folder, reading all five feeds of a simulated day while faults happen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import requests

from demo.airflow_stack import AirflowStack
from demo.postgres import EmbeddedPostgres
from demo.processes import Processes, free_port
from demo.scenario import Scenario
from demo.simulated import SimulatedProviders
from end_to_end.driving import HOUR, PATCHY, WRONG_KEY
from tieout.core.slices import Slice
from tieout.core.warehouse import connect

REACH = timedelta(days=40)
MARGIN = timedelta(hours=6)


@pytest.fixture(scope="package")
def scenario() -> Scenario:
    """The newest settlement day of the demo's world and its rebates, in slices of six hours."""
    end = Scenario.of(datetime.now(UTC)).end
    return Scenario(start=end - 26 * HOUR, end=end, slice_width="6h")


@pytest.fixture(scope="package")
def horizon() -> datetime:
    """The first slice that catch-up may read of a feed with a reach of 40 days."""
    return (datetime.now(UTC) - REACH + MARGIN).replace(minute=0, second=0, microsecond=0) + HOUR


def let_faults_happen(simulator: str) -> None:
    """Let some calls to each provider meet what a bad night brings; none of it may cost a row or show a secret."""
    for provider in ("lucko", "jdb", "hotroad", "vertexplay"):
        for name in ("bad_gateway", "truncated", "html_200", "reset"):
            fault = {"name": name, "provider": provider, "next": 1}
            requests.post(f"{simulator}/_sim/faults", json=fault, timeout=60).raise_for_status()


@pytest.fixture(scope="package")
def stack(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, scenario: Scenario, horizon: datetime
) -> Iterator[AirflowStack]:
    home = tmp_path_factory.mktemp("stack")
    feeds = home / "feeds.yaml"
    feeds.write_text(
        scenario.feeds_yaml()
        + f"""\
  - provider: hotroad          # declared for long ago: only what is within reach may be caught up
    agent: veteran
    conn_id: hotroad_demo
    start: 2020-01-01
    stop: {horizon + 2 * HOUR:%Y-%m-%dT%H:%M:%SZ}
    currency: USD
  - provider: hotroad          # paused while it catches up, then backfilled: a hole stays
    agent: patchy
    conn_id: hotroad_demo
    start: {scenario.start:%Y-%m-%dT%H:%M:%SZ}
    stop: {scenario.start + PATCHY * HOUR:%Y-%m-%dT%H:%M:%SZ}
    currency: USD
    feeds: {{summary: {{interval: 0.1s}}}}
  - provider: lucko            # somebody has mistyped the key
    agent: forger
    conn_id: forged
    start: {scenario.start:%Y-%m-%dT%H:%M:%SZ}
    stop: {scenario.start + 6 * HOUR:%Y-%m-%dT%H:%M:%SZ}
    feeds: {{bets: {{slice: 6h}}}}
"""
    )
    providers = SimulatedProviders(free_port(), scenario)
    connections = providers.connections()
    connections["forged"] = {**connections["lucko_demo"], "password": WRONG_KEY}
    with Processes(home / "logs", home / "processes.json") as processes:
        stack = AirflowStack(
            home=home, postgres=postgres, processes=processes, feeds=feeds, connections=connections,
            environment={
                # A sensor that comes back before the scheduler has seen it go counts as failed (Airflow 3.3).
                "TIEOUT_COVERAGE_POKE_SECONDS": "10", "TIEOUT_REPAIR_SETTLE_SECONDS": "0",
                "TIEOUT_AFTER_LOADS_SECONDS": "20",
                # Everything is written down, so that a secret that can be logged is.
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            },
            password="e2e-password",
            metadata="e2e_airflow", warehouse="e2e_tieout",
        )  # fmt: skip
        stack.prepare()
        processes.start("simulator", providers.command(), stack.env)
        stack.start()
        stack.wait_until_ready()
        let_faults_happen(providers.url)
        stack.providers = providers  # type: ignore[attr-defined]
        yield stack


@pytest.fixture(scope="package")
def ledger(stack: AirflowStack) -> Iterator[psycopg.Connection]:
    with connect(stack.warehouse_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="package")
def patchy_slices(scenario: Scenario) -> list[Slice]:
    return list(Slice(scenario.start, scenario.start + PATCHY * HOUR).split(HOUR))
