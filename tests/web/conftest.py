"""The pages as the api-server mounts them, on a real warehouse, with people whose permissions a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL
from web_people import FORMULA, HOST, HOSTILE, INJECTION, Permissions, Person

from readings import Reading
from recon.world import DAY, DISPATCHED, World
from tieout.web import access, warehouse
from tieout.web.app import build_app


@pytest.fixture
def pages(warehouse_of_pages: URL, monkeypatch: pytest.MonkeyPatch) -> Callable[[Person | None], TestClient]:
    """Return a function that opens a browser for a person, None for nobody."""
    monkeypatch.setattr(access, "get_auth_manager", Permissions)
    monkeypatch.setattr(access.DagModel, "get_team_name", staticmethod(lambda dag_id: None))

    def url(conn_id: str) -> URL:
        if conn_id == warehouse.READER_CONN_ID:
            raise AirflowNotFoundException(conn_id)
        return warehouse_of_pages

    monkeypatch.setattr(warehouse, "warehouse_url", url)
    warehouse.forget_connections()

    def browser(person: Person | None) -> TestClient:
        app = build_app()
        if person is not None:
            app.dependency_overrides[get_user] = lambda: person
        outer = FastAPI()
        outer.mount("/tieout", app)
        return TestClient(outer, base_url=HOST, follow_redirects=False, raise_server_exceptions=False)

    return browser


@pytest.fixture
def warehouse_of_pages(warehouse: URL) -> URL:
    """The warehouse that pages read; here the test's own."""
    return warehouse


@pytest.fixture
def world(reading: type[Reading], db: psycopg.Connection) -> World:
    """An agent with two matched rebates and some broken ones, ids and users of which are hostile."""
    world = World(reading, db, agent="acme")
    world.bet("b1", "100")
    world.bet("b2", "50", user=HOSTILE)
    world.bet("b3", "70", user=INJECTION)
    world.bet("b4", "30", user=FORMULA)
    world.bet("unclaimed", "12.5")
    world.rebate("matched", ["b1"])
    world.rebate("amount", ["b2"], turnover="50", amount="0.75", user=HOSTILE)
    world.rebate(INJECTION, ["b3"], turnover="170.25", user=INJECTION)
    world.rebate(FORMULA, ["b4", HOSTILE], turnover="40", user=FORMULA)
    world.settle()
    world.judge()
    # It was cancelled after the rebate was made.
    world.bet("b1", "0", status=2, updated=DISPATCHED + timedelta(minutes=20), bet_amount="100")
    world.read_bets(DAY + timedelta(days=1), DAY + timedelta(days=1, hours=2), pulled=DAY + timedelta(days=2))
    world.rejudge()
    return world


@pytest.fixture
def owner() -> Person:
    """Somebody who may read and edit all of acme's DAGs."""
    dags = {"lucko__bets__acme", "lucko__rebates__acme", "tieout__repair", "tieout__replay"}
    return Person("Olga", reads=dags, edits=dags)


@pytest.fixture
def owners_pages(pages: Callable[[Person | None], TestClient], owner: Person, world: World) -> Iterator[TestClient]:
    """The pages as the owner sees them, with something on them."""
    with pages(owner) as client:
        yield client
