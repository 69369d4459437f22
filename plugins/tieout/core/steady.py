"""A database connection that comes back by itself when the server is lost for a while."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any

import psycopg
from sqlalchemy import URL

from tieout.core.clock import Clock
from tieout.core.errors import Unreachable
from tieout.core.warehouse import RECONNECT_DELAY, connect, normalise_url

log = logging.getLogger(__name__)

#: Seconds a lost server is waited for: a restart or a failover fits in; beyond, the task is retried later.
RECONNECT_SECONDS = 60.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
#: libpq's own limits (seconds, milliseconds): a host that vanished without a word is noticed, not waited for.
LIMITS = {"connect_timeout": "10", "tcp_user_timeout": "20000"}

LOST = (psycopg.OperationalError, psycopg.InterfaceError)


class SteadyConnection:
    """One autocommit connection, opened on entering and again whenever it is lost.

    A statement under way when the server is lost is executed again: it must bear being done twice. Raises
    Unreachable on entering when there is no server, later when none is back in time.
    """

    def __init__(self, url: str | URL, clock: Clock) -> None:
        parsed = normalise_url(url)
        self._url = parsed.update_query_dict(
            {name: limit for name, limit in LIMITS.items() if name not in parsed.query}
        )
        self._clock = clock
        self._stack = ExitStack()
        self._connection: psycopg.Connection | None = None
        self._entered = False

    def __enter__(self) -> SteadyConnection:
        self._open()
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        self._entered = False
        self._close()

    def row(
        self, statement: str, parameters: dict[str, Any], *, patience: float = RECONNECT_SECONDS
    ) -> tuple[Any, ...] | None:
        """Execute *statement* and return its first row, None when there is none.

        *patience*: how many seconds a lost server is waited for.
        """
        if not self._entered:
            raise RuntimeError("the warehouse is used outside of its with block")
        if self._connection is not None:
            try:
                return self._execute(statement, parameters)
            except LOST as error:
                log.warning("lost the warehouse (%s); connecting again", first_line(error))
        return self._execute_again(statement, parameters, patience)

    def _execute_again(self, statement: str, parameters: dict[str, Any], patience: float) -> tuple[Any, ...] | None:
        lost_at = self._clock.monotonic()
        pause = FIRST_PAUSE
        while True:
            try:
                self._open()
                found = self._execute(statement, parameters)
            except (Unreachable, *LOST) as error:
                if self._clock.monotonic() - lost_at + pause > patience:
                    raise Unreachable(
                        f"lost the warehouse and it did not come back within {patience:g} s: {first_line(error)}.",
                        advice="Check that PostgreSQL runs and that the connection tieout_warehouse names it.",
                        delay=RECONNECT_DELAY,
                    ) from error
                self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                log.info("the warehouse is back after %.1f s", self._clock.monotonic() - lost_at)
                return found

    def _execute(self, statement: str, parameters: dict[str, Any]) -> tuple[Any, ...] | None:
        assert self._connection is not None
        return self._connection.execute(statement, parameters).fetchone()

    def _open(self) -> None:
        self._close()
        self._connection = self._stack.enter_context(connect(self._url, autocommit=True))

    def _close(self) -> None:
        if self._connection is not None:
            # Closed first: leaving psycopg's block would otherwise commit on a connection that may be dead.
            self._connection.close()
        self._stack.close()
        self._connection = None


def first_line(error: Exception) -> str:
    """Return the first line of what a database said, without its full stop."""
    text = error.message if isinstance(error, Unreachable) else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
