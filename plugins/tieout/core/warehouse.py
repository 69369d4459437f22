"""Connections to the warehouse: psycopg for data, the same URL for SQLAlchemy and Alembic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from sqlalchemy import URL, make_url

from tieout.core.errors import Unreachable

APPLICATION = "tieout"
RECONNECT_DELAY = timedelta(seconds=30)


def normalise_url(url: str | URL) -> URL:
    """Return *url* with the psycopg driver, whatever driver it named."""
    return make_url(url).set(drivername="postgresql+psycopg")


def conninfo(url: str | URL) -> str:
    """Return libpq's keyword form of a SQLAlchemy URL (sockets, sslmode and options included)."""
    parsed = normalise_url(url)
    options = {key: value for key, value in parsed.query.items() if isinstance(value, str)}
    pieces: dict[str, str | None] = {
        "host": parsed.host,
        "port": str(parsed.port or ""),
        "user": parsed.username,
        "password": parsed.password,
        "dbname": parsed.database,
        "application_name": APPLICATION,
        **options,
        # Added to what the connection asks for: sessions think in UTC.
        "options": f"{options.get('options', '')} -c timezone=UTC".strip(),
    }
    return psycopg.conninfo.make_conninfo(**{key: value for key, value in pieces.items() if value})


@contextmanager
def connect(url: str | URL, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
    """Open a connection in UTC; every loss of the server becomes Unreachable, so that the task is retried.

    Commits on success and rolls back on error unless *autocommit*.
    """
    connection = _open(url, autocommit)
    try:
        with connection:
            yield connection
    except psycopg.OperationalError as error:
        raise _not_reachable(error) from error


def _open(url: str | URL, autocommit: bool) -> psycopg.Connection:
    try:
        return psycopg.connect(conninfo(url), autocommit=autocommit)
    except psycopg.OperationalError as error:
        problem = _not_reachable(error)
    # Raised here, without the driver's frames: they hold the password, and some logs show local variables.
    raise problem


def _not_reachable(error: psycopg.OperationalError) -> Unreachable:
    return Unreachable(
        f"the warehouse is not reachable: {str(error).strip()}.",
        advice="Check that PostgreSQL runs and that the connection tieout_warehouse names it.",
        delay=RECONNECT_DELAY,
    )
