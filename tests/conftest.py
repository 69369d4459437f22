"""Fixtures every test may use: a real PostgreSQL, an own migrated database per test, no Airflow examples."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before anything imports Airflow: its home must not be the user's.
_HOME = tempfile.mkdtemp(prefix="tieout-tests-")
os.environ.update(
    AIRFLOW_HOME=_HOME,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__PLUGINS_FOLDER=str(Path(__file__).parents[1] / "plugins"),
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parents[1] / "dags"),
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
)

import psycopg  # noqa: E402
import pytest  # noqa: E402
from sqlalchemy import URL  # noqa: E402

from demo.postgres import EmbeddedPostgres  # noqa: E402
from readings import Reading  # noqa: E402
from tieout.migrations import upgrade  # noqa: E402

if TYPE_CHECKING:
    from object_store import Requests, Store


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, Requests]]:
    """An S3 server for the whole run and what it was asked."""
    # Imported for those who ask for it only: Amazon's clients take a second.
    from object_store import serve_s3

    with serve_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: tuple[str, Requests]) -> Store:
    """An empty bucket."""
    from object_store import Store

    url, requests = s3_server
    store = Store(url=url, bucket=f"b{uuid.uuid4().hex[:12]}", requests=requests)
    store.client.create_bucket(Bucket=store.bucket)
    requests.seen.clear()
    return store


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL server for the whole run, its data in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="tieout-pg-") as folder, EmbeddedPostgres(Path(folder) / "data") as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated, empty warehouse that databases are copied from."""
    name = "warehouse_template"
    postgres.create_database(name)
    upgrade(postgres.url(name))
    return name


@pytest.fixture
def warehouse(postgres: EmbeddedPostgres, template: str) -> Iterator[URL]:
    """The URL of a migrated warehouse of this test's own."""
    name = f"w_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name, template=template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def db(warehouse: URL) -> Iterator[psycopg.Connection]:
    """An autocommit connection to this test's warehouse."""
    from tieout.core.warehouse import connect

    with connect(warehouse, autocommit=True) as connection:
        yield connection


@pytest.fixture
def reading(warehouse: URL, tmp_path: Path) -> type[Reading]:
    """``Reading`` bound to this test's warehouse and an own landing folder."""
    return type("BoundReading", (Reading,), {"warehouse": warehouse, "base": tmp_path / "landing"})
