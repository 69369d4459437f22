"""Connections to the warehouse: psycopg for data, the same URL for SQLAlchemy and Alembic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from sqlalchemy import URL, make_url

from tieout.core.errors import FatalError, TieoutError, Unreachable

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
    """Open a connection in UTC; a loss of the server becomes Unreachable, so that the task is retried.

    Commits on success and rolls back on error unless *autocommit*. Raises Unreachable also when the server has no
    room, stops a statement or sees a conflict, and FatalError at a limit of PostgreSQL that no retry gets past.
    """
    connection = _open(url, autocommit)
    try:
        with connection:
            yield connection
    except psycopg.OperationalError as error:
        raise _operational(error) from error


def _open(url: str | URL, autocommit: bool) -> psycopg.Connection:
    try:
        return psycopg.connect(conninfo(url), autocommit=autocommit)
    except psycopg.OperationalError as error:
        problem = _operational(error)
    # Raised here, without the driver's frames: they hold the password, and some logs show local variables.
    raise problem


#: What PostgreSQL says by the class of its SQLSTATE (PostgreSQL documentation, appendix A) while it is reachable.
_MEANINGS = {
    "40": ("gave way to another transaction", "Nothing to do: the next try reads the state that won."),
    "53": ("has no room left", "Free disk or memory of the server, or raise max_connections."),
    "55": ("holds a lock that was needed", "Look for a long transaction in pg_stat_activity."),
}


def _operational(error: psycopg.OperationalError) -> TieoutError:
    """Return the error for what the driver calls operational: a lost server, and much that is none."""
    said = str(error).strip()
    state = error.sqlstate or ""
    if state[:2] == "54":
        return FatalError(
            f"the warehouse cannot hold this: {said}.",
            advice="A value or a statement is larger than PostgreSQL allows; report it with the feed and the slice.",
        )
    if state == "57014":
        return Unreachable(
            f"a statement in the warehouse was stopped: {said}.",
            advice="Look for a statement_timeout of the role, and for who cancelled it.",
            delay=RECONNECT_DELAY,
        )
    if meaning := _MEANINGS.get(state[:2]):
        return Unreachable(f"the warehouse {meaning[0]}: {said}.", advice=meaning[1], delay=RECONNECT_DELAY)
    return Unreachable(
        f"the warehouse is not reachable: {said}.",
        advice="Check that PostgreSQL runs and that the connection tieout_warehouse names it.",
        delay=RECONNECT_DELAY,
    )
