"""Fixtures of the core's tests: one warehouse for the run, emptied before each test (a copy each costs far more)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql
from sqlalchemy import URL

from demo.postgres import EmbeddedPostgres
from tieout.core.warehouse import connect

_TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('staging', 'ops', 'recon', 'mart')"


@pytest.fixture(scope="session")
def core_warehouse(postgres: EmbeddedPostgres, template: str) -> URL:
    """The URL of the migrated warehouse that the core's tests share one after the other."""
    postgres.create_database("core_tests", template=template)
    return postgres.url("core_tests")


@pytest.fixture
def warehouse(core_warehouse: URL) -> URL:
    """The URL of an empty warehouse."""
    with connect(core_warehouse, autocommit=True) as connection:
        # Whatever refers to what: no foreign key is looked at.
        connection.execute("SET session_replication_role = replica")
        for schema, table in connection.execute(_TABLES).fetchall():
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, table)))
    return core_warehouse


@pytest.fixture
def own_warehouse(postgres: EmbeddedPostgres, template: str) -> Iterator[URL]:
    """The URL of a warehouse that the test may destroy."""
    postgres.create_database("core_tests_own", template=template)
    yield postgres.url("core_tests_own")
    postgres.drop_database("core_tests_own")
