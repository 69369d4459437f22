"""How long the pages inside Airflow take to begin: a thousand agents, ninety days, a real PostgreSQL and server."""

from __future__ import annotations

import http.client
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from bench.framework import Benchmark, Figure, Outcome
from bench.pages_data import ManyAgents, many_agents
from demo.postgres import EmbeddedPostgres
from demo.serving import served
from tieout.core.coverage import remember_certified
from tieout.core.warehouse import connect

#: Every page a person opens: what it is called, and its address with the days of the data.
PAGES = (
    ("coverage", "coverage?days=90"),
    ("coverage, page 40", "coverage?days=90&page=40"),
    ("coverage of one agent", "coverage?days=90&contains=0999"),
    ("tab of a DAG", "dag?dag_id=lucko__bets__agent0500"),
    ("feeds that are not complete", "incomplete"),
    ("slices of a day", "slices?provider=lucko&feed=bets&agent=agent0015&day={middle}"),
    ("rejects", "rejects?provider=lucko&feed=bets&agent=agent0011"),
    ("repair", "action?kind=repair&provider=lucko&feed=bets&agent=agent0500&from={middle}&to={last}"),
    ("tie-out", "reconciliation"),
    ("tie-out by difference, page 7", "reconciliation?sort=difference&page=7"),
    ("bridge", "bridge?agent=agent0500&day={middle}&currency=USD"),
    ("breaks", "breaks"),
    ("all breaks by age, page 200", "breaks?state=all&sort=-age&page=200"),
    ("breaks of an agent", "breaks?agent=agent0500&reason=turnover&least=10"),
    ("a break", "break?id=9000"),
    ("pending and unprovable", "pending"),
    ("unclaimed by agent", "unclaimed"),
    ("unclaimed by user", "unclaimed?agent=agent0500"),
    ("activities", "activities"),
    ("integrity breaks", "integrity"),
    ("integrity breaks, page 500", "integrity?page=500"),
    ("control totals", "controls"),
    ("alerts", "alerts?state=all"),
    ("runbook", "runbook?kind=losing"),
    ("breaks of an agent as CSV", "breaks.csv?state=all&agent=agent0500"),
)
#: A file is made before it is sent: all of it, and how long its answer may take to begin.
EXPORT = "breaks.csv?state=all"
EXPORT_AT_MOST = 30.0
ROUNDS = 5
AT_MOST = 300.0


class _Everything:
    """An auth manager under which one person may read and edit every DAG."""

    def __init__(self, dags: set[str]) -> None:
        self._dags = dags

    def get_authorized_dag_ids(self, *, user: Any, method: str = "GET") -> set[str]:
        return self._dags

    def is_authorized_dag(self, **asked: Any) -> bool:
        return True


class _Person:
    """Whoever is logged in."""

    def get_id(self) -> str:
        return "bench"

    def get_name(self) -> str:
        return "bench"


@contextmanager
def _served(url: URL, dags: set[str]) -> Iterator[int]:
    """Serve the application over the warehouse at *url*, everybody logged in; yield the port."""
    from airflow.api_fastapi.core_api.security import get_user
    from airflow.models.dag import DagModel
    from airflow.sdk.exceptions import AirflowNotFoundException
    from fastapi import FastAPI

    from tieout.web import access, warehouse
    from tieout.web.app import build_app

    def own(conn_id: str) -> URL:
        if conn_id == warehouse.READER_CONN_ID:
            raise AirflowNotFoundException(conn_id)
        return url

    replaced: tuple[tuple[Any, str, Any], ...] = (
        (access, "get_auth_manager", lambda: _Everything(dags)),
        (DagModel, "get_team_name", staticmethod(lambda dag_id: None)),
        (warehouse, "warehouse_url", own),
    )
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in replaced]
    for owner, name, value in replaced:
        setattr(owner, name, value)
    warehouse.forget_connections()
    app = build_app()
    app.dependency_overrides[get_user] = _Person
    outer = FastAPI()
    outer.mount("/tieout", app)
    try:
        with served(outer, log_level="warning") as port:
            yield port
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        warehouse.forget_connections()


def _first_byte(port: int, path: str) -> float:
    """Return the milliseconds until an answer begins. Raises RuntimeError when it is not a page."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        began = time.perf_counter()
        connection.request("GET", f"/tieout/{path}")
        answer = connection.getresponse()
        answer.read(1)
        taken = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.read()[:2000]!r}")
        answer.read()
    return taken


def run(seed: int) -> Outcome:
    """Measure each page cold (first time, PostgreSQL just restarted) and warm (median of five)."""
    sizes = ManyAgents()
    middle = sizes.start.date().toordinal() + sizes.days // 3
    days = {
        "middle": sizes.start.date().fromordinal(middle),
        "last": sizes.start.date().fromordinal(middle + 1),
    }
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder, EmbeddedPostgres(Path(folder) / "pg") as server:
        os.environ.setdefault("AIRFLOW_HOME", folder)
        began = time.perf_counter()
        with many_agents(server, "pages", sizes=sizes) as url:
            built = time.perf_counter() - began
            with connect(url) as connection:
                began = time.perf_counter()
                remember_certified(connection)
                remembered = time.perf_counter() - began
            server.restart()
            with _served(url, sizes.dags) as port:
                # What a new api-server builds once belongs to no page.
                started = _first_byte(port, "runbook")
                cold = {name: _first_byte(port, path.format(**days)) for name, path in PAGES}
                warm = {
                    name: statistics.median(_first_byte(port, path.format(**days)) for _ in range(ROUNDS))
                    for name, path in PAGES
                }
                export = _first_byte(port, EXPORT) / 1000
    figures = [
        Figure(name=f"{name}, {what}", value=round(times[name], 1), unit="ms", at_most=AT_MOST)
        for name, _ in PAGES
        for what, times in (("cold", cold), ("warm", warm))
    ]
    figures.append(
        Figure(name="all breaks as CSV, first byte", value=round(export, 2), unit="s", at_most=EXPORT_AT_MOST)
    )
    figures.append(Figure(name="first page of a new server", value=round(started, 1), unit="ms"))
    figures.append(Figure(name="monitor writes certified time", value=round(remembered, 2), unit="s"))
    figures.append(Figure(name="data written", value=round(built, 1), unit="s"))
    return Outcome(
        figures=tuple(figures),
        sizes={"agents": sizes.agents, "days": sizes.days, "breaks": sizes.agents * sizes.days * sizes.breaks},
    )


BENCHMARK = Benchmark(
    name="pages", measures="the first byte of every page at 1,000 agents x 90 days", run=run
)  # fmt: skip
