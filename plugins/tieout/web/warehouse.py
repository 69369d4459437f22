"""The warehouse as pages see it: one read-only snapshot a request, with a time limit; one way to write.

Read with the connection ``tieout_warehouse_reader`` where there is one (a role that can do nothing else), else with
``tieout_warehouse`` opened read-only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import Any

import psycopg
from airflow.sdk.exceptions import AirflowNotFoundException
from psycopg import IsolationLevel, sql
from psycopg.rows import dict_row
from sqlalchemy import URL

from tieout.core.errors import FatalError
from tieout.core.warehouse import connect
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

READER_CONN_ID = "tieout_warehouse_reader"
#: A page that takes longer is stopped: it would be asked for again, and again.
PAGE_TIMEOUT = "10s"
#: For what is shown later than its page, and for exports.
LONG_TIMEOUT = "60s"
#: For how long a connection that was looked up is taken for the same, in seconds.
_REMEMBERED = 60.0

Row = Mapping[str, Any]
#: What PostgreSQL says to a statement about tables that a migration makes.
_NOT_MIGRATED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
)


class NotSetUp(FatalError):
    """The warehouse is not as pages need it; its text names nothing that only administrators should know."""


class Snapshot:
    """A read-only transaction that sees one state of the warehouse."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def rows(
        self,
        name: str,
        parameters: Mapping[str, Any],
        *,
        tail: sql.Composed | None = None,
        around: sql.SQL | None = None,
    ) -> list[Row]:
        """Return the rows of ``sql/<name>.sql``.

        *tail* is what follows it, an order for instance; *around* what is asked of its rows: they stand for ``{}``.
        """
        query = _with(name, tail)
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return list(cursor.execute(around.format(query) if around else query, parameters).fetchall())

    def row(self, name: str, parameters: Mapping[str, Any]) -> Row | None:
        """Return the first row, None when there is none."""
        found = self.rows(name, parameters)
        return found[0] if found else None

    def stream(
        self, name: str, parameters: Mapping[str, Any], *, tail: sql.Composed | None = None, size: int = 2_000
    ) -> Iterator[Row]:
        """Yield rows without holding them all."""
        with self.connection.cursor(name="tieout_export", row_factory=dict_row) as cursor:
            cursor.itersize = size
            cursor.execute(_with(name, tail), parameters)
            yield from cursor


@contextmanager
def reading(timeout: str = PAGE_TIMEOUT) -> Iterator[Snapshot]:
    """Open a snapshot.

    Raises Unreachable when the warehouse is, or when a statement takes longer than *timeout*; NotSetUp when there is no
    connection, or no table, or no right to read it.
    """
    url = _reader_url()
    # Compiling a statement takes longer than running it does: pages are small.
    settings = f"-c default_transaction_read_only=on -c statement_timeout={timeout} -c jit=off"
    given = url.query.get("options", "")
    url = url.update_query_dict({"options": f"{given if isinstance(given, str) else ' '.join(given)} {settings}"})
    try:
        with connect(url) as connection:
            connection.read_only = True
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            yield Snapshot(connection)
    except _NOT_MIGRATED as error:
        raise NotSetUp(
            "It lacks tables or columns that this version reads.", advice="Run: python -m tieout migrate"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotSetUp(
            "The database role that pages read with may not read all of its tables.",
            advice="Run as an administrator of the database server: python -m tieout grant-reader",
        ) from error


@contextmanager
def writing() -> Iterator[psycopg.Connection]:
    """Open the connection that may write, in autocommit; it waits at most ten seconds for a run of the judge."""
    with connect(_own_url(), autocommit=True) as connection:
        connection.execute("SET statement_timeout = '10s'")
        yield connection


_known: tuple[float, URL] | None = None
_lock = Lock()


def _reader_url() -> URL:
    global _known
    with _lock:
        if _known is None or _known[0] < time.monotonic():
            try:
                url = warehouse_url(READER_CONN_ID)
            except AirflowNotFoundException:
                url = _own_url()
            _known = (time.monotonic() + _REMEMBERED, url)
        return _known[1]


def _own_url() -> URL:
    try:
        return warehouse_url(WAREHOUSE_CONN_ID)
    except AirflowNotFoundException as error:
        raise NotSetUp(
            f"Airflow has no connection {WAREHOUSE_CONN_ID}.",
            advice=f"Declare {WAREHOUSE_CONN_ID}, then run: python -m tieout migrate",
        ) from error


def forget_connections() -> None:
    """Look the connection up again with the next request."""
    global _known
    _known = None


@cache
def _statement(name: str) -> sql.SQL:
    return sql.SQL(files("tieout.web").joinpath(f"sql/{name}.sql").read_text(encoding="utf-8"))


def _with(name: str, tail: sql.Composed | None) -> sql.SQL | sql.Composed:
    return _statement(name) if tail is None else sql.SQL("{}\n{}").format(_statement(name), tail)
