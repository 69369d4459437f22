"""How much of a quota was used: kept by the hour in the row itself, with the statement that grants a slot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from kit import FixedClock
from sqlalchemy import URL

from tieout.core.quota import SPACING, PostgresQuota, QuotaKey
from tieout.core.quota_row import USED_HOURS, Priority, QuotaRows, Ticket
from tieout.core.steady import SteadyConnection

KEY = QuotaKey(provider="lucko", endpoint="/bets", merchant_id="m1")
INTERVAL = timedelta(seconds=5)
SLOT = INTERVAL.total_seconds() * SPACING
BEGAN = datetime(2026, 3, 1, 12, 59, 50, tzinfo=UTC)
HOUR = int(BEGAN.timestamp()) // 3600


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def quota(warehouse: URL, clock: FixedClock) -> Iterator[PostgresQuota]:
    with PostgresQuota(warehouse, clock, database_clock=lambda: BEGAN + timedelta(seconds=clock.ticks)) as entered:
        yield entered


def used(db: psycopg.Connection) -> dict[int, tuple[int, float]]:
    row = db.execute("SELECT used FROM ops.quota").fetchone()
    assert row is not None
    hours: dict[str, Any] = row[0]
    return {int(hour): (entry["calls"], entry["seconds"]) for hour, entry in hours.items()}


def test_calls_are_counted_in_the_hour_in_which_they_are_granted(quota: PostgresQuota, db: psycopg.Connection) -> None:
    for _ in range(6):
        quota.acquire(KEY, INTERVAL)
    found = used(db)
    assert set(found) == {HOUR, HOUR + 1}
    assert sum(calls for calls, _ in found.values()) == 6
    for calls, seconds in found.values():
        assert seconds == pytest.approx(calls * SLOT)


def test_hours_that_are_over_are_forgotten(quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection) -> None:
    quota.acquire(KEY, INTERVAL)
    clock.sleep((USED_HOURS - 1) * 3600)
    quota.acquire(KEY, INTERVAL)
    assert set(used(db)) == {HOUR, HOUR + USED_HOURS - 1}
    clock.sleep(3600)
    quota.acquire(KEY, INTERVAL)
    assert set(used(db)) == {HOUR + USED_HOURS - 1, HOUR + USED_HOURS}


def test_a_wider_spacing_takes_more_of_the_time(quota: PostgresQuota, db: psycopg.Connection) -> None:
    quota.acquire(KEY, INTERVAL)
    quota.push_back(KEY, timedelta(seconds=1), widen_to=timedelta(seconds=30))
    quota.acquire(KEY, INTERVAL)
    calls, seconds = (sum(entry[place] for entry in used(db).values()) for place in (0, 1))
    assert calls == 2
    assert seconds == pytest.approx(SLOT + 30 * SPACING)


def test_a_slot_that_is_given_back_is_not_used(warehouse: URL, db: psycopg.Connection) -> None:
    now = BEGAN
    with SteadyConnection(warehouse, FixedClock()) as connection:
        rows = QuotaRows(connection, lambda: now)
        ticket = Ticket.of(KEY, INTERVAL, Priority.LIVE)
        lead, margin = timedelta(seconds=1), timedelta(0)
        step = rows.take_turn(ticket, lead=lead, margin=margin)
        assert step.granted
        again = rows.take_turn(ticket.after(step, missed=True), lead=lead, margin=margin)
        assert again.granted
        assert used(db) == {HOUR: (1, pytest.approx(SLOT))}
        # Somebody else reckons with the slot's end: its time is gone, its call was never made.
        other = rows.take_turn(Ticket.of(KEY, INTERVAL, Priority.LIVE), lead=timedelta(minutes=1), margin=margin)
        assert other.granted
        late = rows.take_turn(ticket.after(again, missed=True), lead=timedelta(minutes=1), margin=margin)
        assert late.granted
        assert used(db) == {HOUR: (2, pytest.approx(3 * SLOT))}


def test_waiting_uses_nothing(warehouse: URL, db: psycopg.Connection) -> None:
    with SteadyConnection(warehouse, FixedClock()) as connection:
        rows = QuotaRows(connection, lambda: BEGAN)
        lead, margin = timedelta(seconds=1), timedelta(0)
        assert rows.take_turn(Ticket.of(KEY, INTERVAL, Priority.LIVE), lead=lead, margin=margin).granted
        assert not rows.take_turn(Ticket.of(KEY, INTERVAL, Priority.LIVE), lead=lead, margin=margin).granted
    assert used(db) == {HOUR: (1, pytest.approx(SLOT))}
