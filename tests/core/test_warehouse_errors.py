"""What the warehouse's errors become: a reason that is true, and a retry where one can help."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL

from tieout.core.errors import FatalError, TieoutError, Unreachable
from tieout.core.warehouse import connect


def error_of(warehouse: URL, work: Callable[[psycopg.Connection], object]) -> TieoutError:
    with pytest.raises(TieoutError) as caught, connect(warehouse) as connection:
        work(connection)
    return caught.value


def test_a_value_too_large_for_an_index_is_fatal(warehouse: URL) -> None:
    def insert(connection: psycopg.Connection) -> None:
        connection.execute("CREATE TEMPORARY TABLE t (v text PRIMARY KEY)")
        connection.execute("INSERT INTO t SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n")

    error = error_of(warehouse, insert)
    assert isinstance(error, FatalError)
    assert "cannot hold this: index row" in error.message


def test_a_stopped_statement_is_told_as_one(warehouse: URL) -> None:
    def wait(connection: psycopg.Connection) -> None:
        connection.execute("SET statement_timeout = '10ms'")
        connection.execute("SELECT pg_sleep(60)")

    error = error_of(warehouse, wait)
    assert isinstance(error, Unreachable)
    assert "was stopped" in error.message
    assert error.delay


def test_a_lock_that_is_not_had_is_told_as_one(warehouse: URL, db: psycopg.Connection) -> None:
    with db.transaction():
        db.execute("LOCK TABLE ops.agents")
        error = error_of(warehouse, lambda connection: connection.execute("LOCK TABLE ops.agents NOWAIT"))
    assert isinstance(error, Unreachable)
    assert "holds a lock" in error.message


def test_a_conflict_is_retried(warehouse: URL, db: psycopg.Connection) -> None:
    db.execute("CREATE TABLE public.t AS SELECT 1 AS v")

    def update(connection: psycopg.Connection) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT v FROM public.t")
        db.execute("UPDATE public.t SET v = 2")
        connection.execute("UPDATE public.t SET v = 3")

    error = error_of(warehouse, update)
    assert isinstance(error, Unreachable)
    assert "gave way" in error.message


def test_a_server_that_goes_is_not_reachable(warehouse: URL, db: psycopg.Connection) -> None:
    def be_cut_off(connection: psycopg.Connection) -> None:
        db.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        connection.execute("SELECT 1")

    error = error_of(warehouse, be_cut_off)
    assert isinstance(error, Unreachable)
    assert "is not reachable" in error.message
