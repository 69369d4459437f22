"""Quota: one row per (provider, endpoint, merchant) in PostgreSQL decides when the next call may be made.

A caller reserves the next free instant in one statement (generic cell rate algorithm on the database's clock,
spacing = interval x 1.02) and sleeps outside any lock. A caller that wakes too late for its slot gives it up
and reserves anew, so that a stalled process never bunches calls up. Throttle answers push the row forward
for everyone, on every machine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import URL

from tieout.core.clock import Clock
from tieout.core.errors import Throttled, Unreachable
from tieout.core.warehouse import connect

log = logging.getLogger(__name__)

SPACING = 1.02
MAX_SLOTS_GIVEN_UP = 1000
#: Seconds a caller sleeps for its slot at most; beyond, its task is retried later.
LONGEST_WAIT = 600.0
#: A caller may wake this much of the spare spacing after its slot and still use it.
LATE_SHARE = 0.5
#: Seconds a sleeping process may oversleep on an ordinary kernel without being counted as late.
TIMER_GRANULARITY = 0.005

_RESERVE = """
INSERT INTO ops.quota AS q (provider, endpoint, merchant_id, next_free_at, reserved)
VALUES (%(provider)s, %(endpoint)s, %(merchant_id)s, clock_timestamp() + %(spacing)s, 1)
ON CONFLICT (provider, endpoint, merchant_id) DO UPDATE SET
    next_free_at = greatest(q.next_free_at, clock_timestamp())
                   + greatest(%(spacing)s, coalesce(q.min_interval, '0') * %(factor)s),
    reserved = q.reserved + 1,
    given_up = q.given_up + %(given_up)s,
    updated_at = clock_timestamp()
RETURNING next_free_at - greatest(%(spacing)s, coalesce(q.min_interval, '0') * %(factor)s) AS slot,
          clock_timestamp() AS now
"""

_PUSH_BACK = """
INSERT INTO ops.quota AS q (provider, endpoint, merchant_id, next_free_at, min_interval, throttled, throttled_at)
VALUES (%(provider)s, %(endpoint)s, %(merchant_id)s, clock_timestamp() + %(delay)s, %(widen_to)s, 1,
        clock_timestamp())
ON CONFLICT (provider, endpoint, merchant_id) DO UPDATE SET
    next_free_at = greatest(q.next_free_at, clock_timestamp() + %(delay)s),
    min_interval = greatest(q.min_interval, %(widen_to)s),
    throttled = q.throttled + 1,
    throttled_at = clock_timestamp(),
    updated_at = clock_timestamp()
RETURNING min_interval
"""


@dataclass(frozen=True, kw_only=True)
class QuotaKey:
    """What a provider counts calls by."""

    provider: str
    endpoint: str
    merchant_id: str

    def __str__(self) -> str:
        return f"{self.provider} {self.endpoint} of merchant {self.merchant_id}"


class PostgresQuota:
    """Reserves call instants in ``ops.quota``; safe for any number of processes on any number of machines.

    Holds one autocommit connection, opened at the first use. Raises Unreachable when the database is lost.
    """

    def __init__(self, url: str | URL, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._context = connect(url, autocommit=True)
        self._connection: psycopg.Connection | None = None

    def __enter__(self) -> PostgresQuota:
        self._connection = self._context.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)  # type: ignore[arg-type]
        self._connection = None

    def acquire(self, key: QuotaKey, interval: timedelta) -> datetime:
        """Wait for the next free instant and return it (database clock): the instant of the call to be made.

        Raises Throttled when the slot is more than LONGEST_WAIT away, Unreachable when the machine is so slow that
        slots keep passing before it wakes.
        """
        given_up = 0
        for _ in range(MAX_SLOTS_GIVEN_UP):
            slot, now = self._reserve(key, interval, given_up)
            started = self._clock.monotonic()
            wait = (slot - now).total_seconds()
            if wait > LONGEST_WAIT:
                # The provider asked everyone to stay away; sleeping here would hold a worker and a pull slot.
                raise Throttled(f"{key} may be called again in {wait:.0f} s only.", delay=timedelta(seconds=wait))
            if wait > 0:
                log.info("quota: %s waits %.2f s for its slot", key, wait)
                self._clock.sleep(wait)
            late = self._clock.monotonic() - started - max(wait, 0)
            # A slot reserved for "now" cannot be missed: nothing was slept through.
            allowed = max(interval.total_seconds() * (SPACING - 1) * LATE_SHARE, TIMER_GRANULARITY)
            if wait <= 0 or late <= allowed:
                return now + timedelta(seconds=self._clock.monotonic() - started)
            given_up = 1
            log.info("quota: %s woke %.3f s late and gives its slot up", key, late)
        raise Unreachable(f"no slot of {key} could be met; this machine is overloaded.")

    def now(self) -> datetime:
        """Return the database's clock."""
        (now,) = self._one("SELECT clock_timestamp()", {})
        assert isinstance(now, datetime)
        return now

    def push_back(self, key: QuotaKey, delay: timedelta, *, widen_to: timedelta | None = None) -> None:
        """Keep everyone from calling for *delay*; with *widen_to*, space all later calls at least that far."""
        parameters = {**_key(key), "delay": delay, "widen_to": widen_to}
        (widened,) = self._one(_PUSH_BACK, parameters)
        log.warning(
            "quota: %s was throttled; next call in %.1f s, spacing %s",
            key,
            delay.total_seconds(),
            f"at least {widened.total_seconds():g} s" if widened else "as declared",
        )

    def _reserve(self, key: QuotaKey, interval: timedelta, given_up: int) -> tuple[datetime, datetime]:
        parameters = {**_key(key), "spacing": interval * SPACING, "factor": SPACING, "given_up": given_up}
        slot, now = self._one(_RESERVE, parameters)
        return slot, now

    def _one(self, statement: str, parameters: dict[str, object]) -> tuple[Any, ...]:
        if self._connection is None:
            raise RuntimeError("PostgresQuota is used outside of its with block")
        try:
            row = self._connection.execute(statement, parameters).fetchone()
        except psycopg.OperationalError as error:
            raise Unreachable(f"lost the warehouse while waiting for quota: {str(error).strip()}.") from error
        assert row is not None
        return row


def _key(key: QuotaKey) -> dict[str, object]:
    return {"provider": key.provider, "endpoint": key.endpoint, "merchant_id": key.merchant_id}
