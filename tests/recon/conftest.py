"""Fixtures of the reconciliation's tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL
from world import World

from demo.postgres import EmbeddedPostgres
from readings import Reading
from tieout.core.warehouse import connect


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres, template: str) -> Iterator[URL]:
    """The URL of a migrated warehouse shared by a module: every test judges an agent of its own."""
    name = f"w_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name, template=template)
    with connect(postgres.url(name), autocommit=True) as connection:
        # Nothing here crashes the server: commits need not wait for the disk.
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def world(reading: type[Reading], db: psycopg.Connection) -> World:
    """An agent without anything yet."""
    return World(reading, db, agent=f"acme-{uuid.uuid4().hex[:12]}")
