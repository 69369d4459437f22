"""The quota row on a real PostgreSQL, in a time that passes only when it is slept through."""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

import psycopg
import pytest
from kit import FixedClock
from sqlalchemy import URL

from demo.postgres import EmbeddedPostgres
from tieout.core import quota as quota_module
from tieout.core.clock import SystemClock
from tieout.core.errors import QuotaBusy, SlotMissed, Unreachable
from tieout.core.quota import LONGEST_WAIT, MAX_SLOTS_GIVEN_UP, SPACING, PostgresQuota, Priority, QuotaKey
from tieout.core.quota_row import LONGEST_NAP, WIDENED_FOR, QuotaRows, Step, Ticket
from tieout.core.steady import SteadyConnection
from tieout.core.warehouse import connect

KEY = QuotaKey(provider="lucko", endpoint="/bets", merchant_id="m1")
INTERVAL = timedelta(seconds=5)
SLOT = INTERVAL * SPACING
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Seconds from now until the first slot of an idle row, before the database was ever asked.
AHEAD = quota_module.MARGIN + 2 * quota_module.FIRST_LATENCY


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


def opened(warehouse: URL, clock: FixedClock) -> PostgresQuota:
    """A quota for which time passes only when *clock* sleeps or is moved; for the database, too."""
    return PostgresQuota(warehouse, clock, database_clock=lambda: BEGAN + timedelta(seconds=clock.ticks))


@pytest.fixture
def quota(warehouse: URL, clock: FixedClock) -> Iterator[PostgresQuota]:
    with opened(warehouse, clock) as entered:
        yield entered


def row(db: psycopg.Connection, key: QuotaKey = KEY) -> dict[str, Any]:
    with db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        found = cursor.execute(
            "SELECT * FROM ops.quota WHERE (provider, endpoint, merchant_id) = (%s, %s, %s)",
            (key.provider, key.endpoint, key.merchant_id),
        ).fetchone()
    assert found is not None
    return found


def end_connections(db: psycopg.Connection) -> None:
    """End the only other connection to the database."""
    found = db.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()
    assert found == (1,)


# -- one caller after the other ---------------------------------------------------------------------------------


def test_slots_follow_each_other_at_the_spacing(quota: PostgresQuota, clock: FixedClock) -> None:
    granted = [quota.acquire(KEY, INTERVAL) for _ in range(3)]
    assert granted[1] - granted[0] == SLOT
    assert granted[2] - granted[1] == SLOT
    assert clock.ticks == pytest.approx(2 * SLOT.total_seconds() + AHEAD)


def test_granted_instant_is_the_slot_on_the_databases_clock(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    quota.acquire(KEY, INTERVAL)
    second = quota.acquire(KEY, INTERVAL)
    assert second == row(db)["next_free_at"] - SLOT == BEGAN + timedelta(seconds=clock.ticks)


def test_idle_time_is_not_saved_up(quota: PostgresQuota, clock: FixedClock) -> None:
    quota.acquire(KEY, INTERVAL)
    clock.pass_time(3600)
    first = quota.acquire(KEY, INTERVAL)
    assert first - BEGAN == timedelta(seconds=3600 + AHEAD + quota_module.MARGIN)
    assert quota.acquire(KEY, INTERVAL) - first == SLOT


def test_keys_are_independent(quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection) -> None:
    keys = [
        KEY,
        QuotaKey(provider="jdb", endpoint="/bets", merchant_id="m1"),
        QuotaKey(provider="lucko", endpoint="/rebates", merchant_id="m1"),
        QuotaKey(provider="lucko", endpoint="/bets", merchant_id="m2'; --"),
    ]
    for key in keys:
        quota.acquire(key, INTERVAL)
    assert clock.ticks == pytest.approx(AHEAD + 3 * quota_module.MARGIN)
    assert db.execute("SELECT count(*) FROM ops.quota").fetchone() == (4,)


def test_connection_is_looked_after_shortly_before_the_turn(quota: PostgresQuota, clock: FixedClock) -> None:
    looked: list[float] = []

    def keep_warm() -> None:
        looked.append(clock.ticks)

    quota.acquire(KEY, INTERVAL, keep_warm=keep_warm)
    assert looked == []
    quota.acquire(KEY, INTERVAL, keep_warm=keep_warm)
    assert looked == [pytest.approx(clock.ticks - quota_module.WARM_UP - quota_module.LEAD)]


def test_connection_that_is_slow_to_open_costs_no_slot(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    quota.acquire(KEY, INTERVAL)
    quota.acquire(KEY, INTERVAL, keep_warm=lambda: clock.pass_time(3))
    kept = row(db)
    assert (kept["reserved"], kept["given_up"]) == (2, 0)


def test_quota_knows_the_databases_clock(warehouse: URL, db: psycopg.Connection) -> None:
    def asked() -> datetime:
        found = db.execute("SELECT clock_timestamp()").fetchone()
        assert found is not None
        instant: datetime = found[0]
        return instant

    with PostgresQuota(warehouse, FixedClock()) as quota:
        assert asked() <= quota.now() <= asked()


def test_wall_clock_of_the_process_does_not_matter(quota: PostgresQuota, clock: FixedClock) -> None:
    first = quota.acquire(KEY, INTERVAL)
    clock.instant += timedelta(days=400)
    second = quota.acquire(KEY, INTERVAL)
    clock.instant -= timedelta(days=800)
    third = quota.acquire(KEY, INTERVAL)
    for gap in (second - first, third - second):
        assert gap == SLOT


# -- late ones --------------------------------------------------------------------------------------------------


@dataclass
class SleepyClock(FixedClock):
    """Oversleeps the given sleeps (by their number) by some seconds."""

    late: dict[int, float] = field(default_factory=dict)
    always: float = 0.0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.pass_time(self.late.get(len(self.slept), self.always))


def test_late_waker_gives_its_slot_back_and_takes_another(warehouse: URL, db: psycopg.Connection) -> None:
    # The first sleep of an idle row is the short one before its slot.
    clock = SleepyClock(late={1: 0.2, 2: 3.0})
    with opened(warehouse, clock) as quota:
        granted = quota.acquire(KEY, INTERVAL)
        kept = row(db)
    assert (kept["reserved"], kept["given_up"]) == (3, 2)
    # What it gave back was nobody's yet: the next call need not wait longer for it.
    assert kept["next_free_at"] - granted == SLOT


def test_slot_that_was_missed_by_a_spacing_is_not_taken_back_from_the_next(warehouse: URL) -> None:
    other = FixedClock()
    taken: list[datetime] = []

    class Overtaken(FixedClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                self.pass_time(SLOT.total_seconds())
                other.ticks = self.ticks
                taken.append(second.acquire(KEY, INTERVAL))

    clock = Overtaken()
    with opened(warehouse, clock) as first, opened(warehouse, other) as second:
        granted = first.acquire(KEY, INTERVAL)
    assert granted - taken[0] >= SLOT - timedelta(milliseconds=5)


def test_waker_that_is_late_by_less_than_the_spare_spacing_keeps_its_slot(
    warehouse: URL, db: psycopg.Connection
) -> None:
    spare = (SLOT - INTERVAL).total_seconds()
    clock = SleepyClock(always=spare * quota_module.LATE_SHARE * 0.9)
    with opened(warehouse, clock) as quota:
        granted = [quota.acquire(KEY, INTERVAL) for _ in range(6)]
    kept = row(db)
    assert (kept["reserved"], kept["given_up"]) == (6, 0)
    # Lateness does not add up: the slots stay where they are, whoever is late for them.
    assert min(later - earlier for earlier, later in itertools.pairwise(granted)) >= INTERVAL
    assert granted[5] - granted[0] == 5 * SLOT


OVERLOADED = f"no slot of lucko /bets of merchant m1 could be met: {MAX_SLOTS_GIVEN_UP + 1} times"


def test_machine_that_always_wakes_late_gets_an_error(warehouse: URL, db: psycopg.Connection) -> None:
    with opened(warehouse, SleepyClock(always=1.0)) as quota, pytest.raises(Unreachable, match=OVERLOADED):
        quota.acquire(KEY, INTERVAL)
    assert row(db)["given_up"] == MAX_SLOTS_GIVEN_UP


def test_call_that_took_too_long_to_sign_is_not_sent_and_costs_no_slot(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    late = (SLOT - INTERVAL).total_seconds() * quota_module.LATE_SHARE * quota_module.SIGNING_FACTOR + 0.001
    first = quota.acquire(KEY, INTERVAL)
    clock.pass_time(late)
    with pytest.raises(SlotMissed, match=r"lucko /bets of merchant m1: 0\.051 s too late"):
        quota.confirm()
    second = quota.acquire(KEY, INTERVAL)
    quota.confirm()
    assert second - first == timedelta(seconds=late + quota_module.MARGIN)
    kept = row(db)
    assert (kept["reserved"], kept["given_up"]) == (2, 1)
    assert kept["next_free_at"] == second + SLOT


def test_call_is_looked_at_once(quota: PostgresQuota, clock: FixedClock) -> None:
    quota.confirm()
    quota.acquire(KEY, INTERVAL)
    clock.pass_time((SLOT - INTERVAL).total_seconds() * quota_module.LATE_SHARE)
    quota.confirm()
    clock.pass_time(3600)
    # A call without a slot (a connection test) is nobody's business.
    quota.confirm()


def test_machine_that_always_signs_late_gets_an_error(quota: PostgresQuota, clock: FixedClock) -> None:
    for _ in range(MAX_SLOTS_GIVEN_UP):
        quota.acquire(KEY, INTERVAL)
        clock.pass_time(1)
        with pytest.raises(SlotMissed):
            quota.confirm()
    quota.acquire(KEY, INTERVAL)
    clock.pass_time(1)
    with pytest.raises(Unreachable, match=OVERLOADED):
        quota.confirm()


# -- calls that leave late, in spite of the last look -----------------------------------------------------------

#: Seconds a call may leave behind the beginning of its slot.
ALLOWED = (SLOT - INTERVAL).total_seconds() * quota_module.LATE_SHARE * quota_module.SIGNING_FACTOR
#: A microsecond is what the row resolves; the clocks of the tests reckon in binary fractions.
RESOLUTION = timedelta(microseconds=5)


def send(quota: PostgresQuota, clock: FixedClock, late: float) -> datetime:
    """Take a slot, have the process put aside for *late* seconds behind its last look; return when its call left."""
    granted = quota.acquire(KEY, INTERVAL)
    quota.confirm()
    clock.pass_time(late)
    quota.sent()
    return granted + timedelta(seconds=late)


def version(db: psycopg.Connection) -> object:
    """What changes with every write to the row."""
    return db.execute("SELECT xmin::text FROM ops.quota").fetchone()


@pytest.mark.parametrize("late", [ALLOWED + 0.001, 1.0, SLOT.total_seconds() - 0.01, 4 * SLOT.total_seconds()])
def test_call_that_leaves_late_puts_the_next_one_off(
    quota: PostgresQuota,
    clock: FixedClock,
    db: psycopg.Connection,
    late: float,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        left = send(quota, clock, late)
    said = (
        f"a call of lucko /bets of merchant m1 left {late:.3f} s late for its slot; the next slot begins as much later"
    )
    assert [one.levelname for one in caplog.records if said in one.getMessage()] == ["INFO"]
    assert abs(quota.acquire(KEY, INTERVAL) - left - SLOT) <= RESOLUTION
    kept = row(db)
    assert (kept["reserved"], kept["given_up"], kept["throttled"]) == (2, 0, 0)


def test_call_that_leaves_late_puts_off_whoever_waits_already(
    quota: PostgresQuota, clock: FixedClock, warehouse: URL
) -> None:
    left: list[datetime] = []

    class Waiting(FixedClock):
        def sleep(self, seconds: float) -> None:
            if not left:
                clock.ticks = self.ticks
                left.append(first + timedelta(seconds=3))
                clock.pass_time(3)
                quota.sent()
            super().sleep(seconds)

    first = quota.acquire(KEY, INTERVAL)
    quota.confirm()
    with opened(warehouse, Waiting(ticks=clock.ticks)) as second:
        assert abs(second.acquire(KEY, INTERVAL) - left[0] - SLOT) <= RESOLUTION


def test_call_that_leaves_in_time_costs_no_statement(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    quota.acquire(KEY, INTERVAL)
    before = version(db)
    quota.confirm()
    clock.pass_time(ALLOWED * 0.99)
    quota.sent()
    assert version(db) == before


def test_call_is_looked_at_once_when_it_has_left(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    quota.sent()
    send(quota, clock, 1.0)
    before = version(db)
    clock.pass_time(3600)
    quota.sent()
    # A call without a slot, one that was not looked at, one that was not sent.
    quota.confirm()
    quota.sent()
    assert version(db) == before
    quota.acquire(KEY, INTERVAL)
    before = version(db)
    clock.pass_time(1)
    quota.sent()
    with pytest.raises(SlotMissed):
        quota.confirm()
    quota.sent()
    assert version(db) == before


def test_row_of_another_endpoint_stays_where_it_is(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    token = QuotaKey(provider="lucko", endpoint="/auth", merchant_id="m1")
    quota.acquire(token, INTERVAL)
    before = row(db, token)
    send(quota, clock, 1.0)
    assert row(db, token) == before


@pytest.mark.parametrize("late", [0.9, 1.0, 2.5])
def test_slot_that_was_taken_already_stays_and_the_one_behind_it_is_far_enough_from_both(
    quota: PostgresQuota, clock: FixedClock, warehouse: URL, caplog: pytest.LogCaptureFixture, late: float
) -> None:
    """The next caller has taken its slot when the call leaves, *late* spacings behind its own."""
    first = quota.acquire(KEY, INTERVAL)
    quota.confirm()
    other = FixedClock(ticks=clock.ticks)
    with opened(warehouse, other) as second, caplog.at_level(logging.INFO):
        taken = second.acquire(KEY, INTERVAL)
        assert taken - first == SLOT
        clock.pass_time(late * SLOT.total_seconds())
        quota.sent()
        left = first + late * SLOT
        other.ticks = max(other.ticks, clock.ticks)
        third = second.acquire(KEY, INTERVAL)
    assert "the next slot was no longer free, and its call may come too early" in caplog.text
    assert abs(third - max(left, taken) - SLOT) <= 2 * RESOLUTION


def test_slot_that_was_taken_already_and_missed_is_not_taken_back_near_the_late_call(
    quota: PostgresQuota, clock: FixedClock, warehouse: URL
) -> None:
    first = quota.acquire(KEY, INTERVAL)
    quota.confirm()
    other = FixedClock(ticks=clock.ticks)
    with opened(warehouse, other) as second:
        second.acquire(KEY, INTERVAL)
        clock.pass_time(SLOT.total_seconds() - 0.02)
        quota.sent()
        other.pass_time(1)
        with pytest.raises(SlotMissed):
            second.confirm()
        # Given back it would begin now, a second behind the late call.
        assert second.acquire(KEY, INTERVAL) - first - SLOT >= SLOT - timedelta(seconds=0.02)


def test_late_call_does_not_shorten_a_ban(
    quota: PostgresQuota, clock: FixedClock, warehouse: URL, db: psycopg.Connection
) -> None:
    quota.acquire(KEY, INTERVAL)
    quota.confirm()
    with opened(warehouse, clock) as other:
        other.push_back(KEY, timedelta(seconds=60))
    banned_until = row(db)["next_free_at"]
    clock.pass_time(2)
    quota.sent()
    assert timedelta(0) <= row(db)["next_free_at"] - banned_until <= RESOLUTION


@pytest.mark.parametrize("broken", ["dropped", "renamed"])
def test_late_call_outlives_a_database_that_fails(
    own_warehouse: URL, postgres: EmbeddedPostgres, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    clock = FixedClock()
    with opened(own_warehouse, clock) as quota, caplog.at_level(logging.INFO):
        quota.acquire(KEY, INTERVAL)
        quota.confirm()
        if broken == "dropped":
            postgres.drop_database(str(own_warehouse.database))
        else:
            with connect(own_warehouse, autocommit=True) as other:
                other.execute("ALTER TABLE ops.quota RENAME TO elsewhere")
        before = clock.ticks
        clock.pass_time(1)
        quota.sent()
        # The answer of the call is on its way meanwhile.
        assert clock.ticks - before <= 1 + quota_module.SHORT_PATIENCE
    (said,) = [one for one in caplog.records if "left 1.000 s late" in one.getMessage()]
    assert said.levelname == "WARNING"
    assert "the next one may come too early: " in said.getMessage()


def test_late_call_puts_the_next_one_off_when_the_connection_was_lost(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    first = quota.acquire(KEY, INTERVAL)
    quota.confirm()
    end_connections(db)
    clock.pass_time(2)
    quota.sent()
    assert quota.acquire(KEY, INTERVAL) - first >= SLOT + timedelta(seconds=2) - RESOLUTION


# -- throttle answers -------------------------------------------------------------------------------------------


def test_push_back_holds_everyone(quota: PostgresQuota, warehouse: URL, db: psycopg.Connection) -> None:
    began = quota.now()
    quota.acquire(KEY, INTERVAL)
    assert quota.push_back(KEY, timedelta(seconds=60)) is None
    kept = row(db)
    assert (kept["throttled"], kept["min_interval"], kept["widened"], kept["widened_at"]) == (1, None, 0, None)
    assert kept["throttled_at"] >= began
    with opened(warehouse, FixedClock()) as second:
        assert second.acquire(KEY, INTERVAL) - began == timedelta(seconds=60 + AHEAD)


def test_push_back_holds_whoever_waits_already(warehouse: URL, clock: FixedClock) -> None:
    began: list[datetime] = []

    class Throttled(FixedClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if not began:
                began.append(other.now())
                other.push_back(KEY, timedelta(seconds=60))

    waiting = Throttled()
    with opened(warehouse, clock) as other, opened(warehouse, waiting) as quota:
        other.acquire(KEY, INTERVAL)
        began.clear()
        granted = quota.acquire(KEY, INTERVAL)
    assert granted - began[0] >= timedelta(seconds=59)


def test_push_back_never_brings_a_call_forward(quota: PostgresQuota, db: psycopg.Connection) -> None:
    began = quota.now()
    quota.push_back(KEY, timedelta(seconds=60))
    quota.push_back(KEY, timedelta(seconds=1))
    kept = row(db)
    assert kept["next_free_at"] - began == timedelta(seconds=60, microseconds=1)
    assert kept["throttled"] == 2


def test_slot_that_was_missed_is_not_given_back_into_a_ban(
    quota: PostgresQuota, warehouse: URL, clock: FixedClock
) -> None:
    quota.acquire(KEY, INTERVAL)
    clock.pass_time(1)
    with PostgresQuota(warehouse, clock, database_clock=lambda: BEGAN + timedelta(seconds=clock.ticks)) as other:
        throttled_at = other.now()
        # Shorter than the spacing: the slot after the missed one begins later all the same.
        other.push_back(KEY, timedelta(seconds=2))
    with pytest.raises(SlotMissed):
        quota.confirm()
    assert quota.acquire(KEY, INTERVAL) - throttled_at >= timedelta(seconds=2)


def test_nobody_sleeps_through_a_long_ban(quota: PostgresQuota, warehouse: URL) -> None:
    quota.push_back(KEY, timedelta(hours=2))
    other = FixedClock()
    with opened(warehouse, other) as second, pytest.raises(QuotaBusy, match="7200 s away") as caught:
        second.acquire(KEY, INTERVAL)
    assert caught.value.delay == timedelta(hours=2)
    assert other.slept == []


def test_whoever_is_put_off_again_and_again_gives_its_worker_back(warehouse: URL, clock: FixedClock) -> None:
    class Bad(FixedClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            other.push_back(KEY, timedelta(seconds=self.ticks + 60))

    waiting = Bad()
    with opened(warehouse, clock) as other, opened(warehouse, waiting) as quota:
        other.push_back(KEY, timedelta(seconds=30))
        with pytest.raises(QuotaBusy) as caught:
            quota.acquire(KEY, INTERVAL)
    assert caught.value.retryable
    assert caught.value.delay is not None
    assert LONGEST_WAIT - 90 <= waiting.ticks <= LONGEST_WAIT


# -- widened spacing --------------------------------------------------------------------------------------------


def test_widened_spacing_holds_says_since_when_and_only_grows(
    quota: PostgresQuota,
    warehouse: URL,
    clock: FixedClock,
    db: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    began = quota.now()
    with caplog.at_level(logging.WARNING):
        assert quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=30)) == timedelta(seconds=30)
    assert "lucko /bets of merchant m1 was throttled" in caplog.text
    assert "calls at least 30 s apart" in caplog.text
    clock.pass_time(1)
    assert quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=10)) is None
    assert quota.push_back(KEY, timedelta(0)) is None
    kept = row(db)
    assert (kept["min_interval"], kept["widened"], kept["throttled"]) == (timedelta(seconds=30), 1, 3)
    assert kept["widened_at"] == began
    with opened(warehouse, FixedClock()) as later:
        granted = [later.acquire(KEY, wanted) for wanted in (INTERVAL, INTERVAL, timedelta(seconds=40), INTERVAL)]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(granted)]
    assert gaps == [30.6, 30.6, 40.8]


def test_widened_spacing_ends_after_a_time_without_throttle_answers(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=30))
    clock.pass_time(WIDENED_FOR.total_seconds() - 60)
    quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=30))
    clock.pass_time(WIDENED_FOR.total_seconds() - 60)
    quota.acquire(KEY, INTERVAL)
    assert row(db)["min_interval"] == timedelta(seconds=30)
    clock.pass_time(60)
    with caplog.at_level(logging.INFO):
        first = quota.acquire(KEY, INTERVAL)
    assert "calls of lucko /bets of merchant m1 are as far apart as declared again" in caplog.text
    kept = row(db)
    assert (kept["min_interval"], kept["widened_at"], kept["widened"], kept["throttled"]) == (None, None, 1, 2)
    assert quota.acquire(KEY, INTERVAL) - first == SLOT
    assert quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=30)) == timedelta(seconds=30)
    assert row(db)["widened"] == 2


def test_spacing_set_by_a_person_stays(quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection) -> None:
    quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=30))
    db.execute("UPDATE ops.quota SET widened_at = NULL")
    clock.pass_time(30 * WIDENED_FOR.total_seconds())
    first = quota.acquire(KEY, INTERVAL)
    assert quota.acquire(KEY, INTERVAL) - first == timedelta(seconds=30.6)


def test_spacing_is_narrowed_at_once_by_a_person(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=30))
    db.execute("UPDATE ops.quota SET min_interval = NULL, widened_at = NULL")
    first = quota.acquire(KEY, INTERVAL)
    assert quota.acquire(KEY, INTERVAL) - first == SLOT


# -- the queue --------------------------------------------------------------------------------------------------


@dataclass
class Queue:
    """Callers as the row sees them: their statements one by one, at instants the test chooses."""

    rows: QuotaRows
    at: list[float]
    tickets: dict[str, Ticket] = field(default_factory=dict)

    def ask(self, name: str, at: float, priority: Priority = Priority.LIVE) -> Step:
        """Let a caller ask at *at* seconds; the same name is the same caller until it was granted a slot."""
        self.at[0] = at
        ticket = self.tickets.get(name) or Ticket.of(KEY, INTERVAL, priority)
        step = self.rows.take_turn(ticket, lead=timedelta(seconds=0.2), margin=timedelta(0))
        if step.granted:
            self.tickets.pop(name, None)
        else:
            self.tickets[name] = ticket.after(step)
        return step

    def who(self, at: float, *names: str) -> str:
        """Let those of them that wait ask in this order; return the one that was granted the slot, "" for nobody."""
        return "".join(name for name in names if name in self.tickets and self.ask(name, at).granted)


@pytest.fixture
def queue(warehouse: URL) -> Iterator[Queue]:
    """A row whose next slot begins at 5.1 s, then every 5.1 s."""
    at = [0.0]
    with SteadyConnection(warehouse, SystemClock()) as connection:
        waiting = Queue(QuotaRows(connection, lambda: BEGAN + timedelta(seconds=at[0])), at)
        assert waiting.ask("", 0).granted
        yield waiting


def test_first_come_first_served_in_a_class(queue: Queue, db: psycopg.Connection) -> None:
    for number, name in enumerate("abc"):
        step = queue.ask(name, 0.1 * number)
        assert (step.granted, step.ahead) == (False, number)
        assert step.slot - step.now == SLOT * (number + 1) - timedelta(seconds=0.1 * number)
    assert len(row(db)["waiting"]) == 3
    assert [queue.who(5.1 * n, "c", "b", "a") for n in (1, 2, 3)] == ["a", "b", "c"]
    assert row(db)["waiting"] == {}


def test_live_goes_before_backfill_before_revisit_before_repair(queue: Queue) -> None:
    for name, priority in zip("rvbl", reversed(Priority), strict=True):
        queue.ask(name, 0.1, priority)
    assert [queue.who(5.1 * n, "r", "v", "b", "l") for n in (1, 2, 3, 4)] == ["l", "b", "v", "r"]


@pytest.mark.parametrize(
    ("kind", "priority"),
    [("first", Priority.LIVE), ("backfill", Priority.BACKFILL), ("revisit", Priority.REVISIT),
     ("repair", Priority.REPAIR)],
)  # fmt: skip
def test_kind_of_a_reading_is_its_class(kind: str, priority: Priority) -> None:
    assert Priority.of_kind(kind) is priority


def test_row_is_not_kept_idle_for_a_higher_class_that_is_not_there(queue: Queue) -> None:
    queue.ask("r", 0.1, Priority.REPAIR)
    assert queue.who(5.0, "r") == "r"


def test_repair_is_overtaken_for_a_bounded_time_only(queue: Queue) -> None:
    queue.ask("r", 0.1, Priority.REPAIR)
    winners = []
    for number in range(1, 40):
        # A live caller is always there: it asks as soon as its last call is answered.
        queue.ask("l", 5.1 * number - 4)
        winners.append(queue.who(5.1 * number, "r", "l"))
        if winners[-1] == "r":
            break
    # 3 classes, 10 slots each.
    assert winners == ["l"] * 30 + ["r"]


def test_patience_is_bounded_where_slots_are_far_apart(queue: Queue) -> None:
    queue.rows.push_back(KEY, timedelta(0), timedelta(seconds=30))
    step = queue.ask("r", 0.1, Priority.REPAIR)
    assert step.turn - step.now == timedelta(seconds=300)
    # Its turn comes before it gives its worker back.
    assert step.turn - step.now + timedelta(seconds=30.6) < timedelta(seconds=LONGEST_WAIT)


def test_dead_waiter_costs_at_most_one_slot(queue: Queue) -> None:
    queue.ask("dead", 0.1)
    waits = queue.ask("next", 0.2)
    assert waits.slot - waits.now == 2 * SLOT - timedelta(seconds=0.2)
    # It wakes for the second slot, and nobody took the first.
    step = queue.ask("next", 10.1)
    assert step.granted
    assert step.ahead == 0


def test_dead_waiter_far_behind_is_forgotten_before_its_turn(queue: Queue, db: psycopg.Connection) -> None:
    for number in range(20):
        queue.ask(f"{number}", 0.01 * number)
    later = LONGEST_NAP.total_seconds() + 3
    queue.who(later, "0")
    step = queue.ask("new", later + 0.1)
    assert step.ahead == 0
    assert len(row(db)["waiting"]) == 1


def test_stopped_waiter_that_goes_on_keeps_its_rank(queue: Queue) -> None:
    for number, name in enumerate(("stopped", "next", "last")):
        queue.ask(name, 0.1 * number)
    assert queue.who(12, "next") == "next"
    assert queue.ask("stopped", 13).ahead == 0
    assert queue.who(12 + 5.1, "last", "stopped") == "stopped"


def test_no_slot_is_granted_twice_however_many_ask_at_once(warehouse: URL) -> None:
    slots: list[datetime] = []
    barrier = threading.Barrier(4)

    def take() -> None:
        with SteadyConnection(warehouse, SystemClock()) as connection:
            rows = QuotaRows(connection)
            barrier.wait(30)
            for _ in range(40):
                ticket = Ticket.of(KEY, INTERVAL, Priority.LIVE)
                step = rows.take_turn(ticket, lead=timedelta(hours=1), margin=timedelta(0))
                assert step.granted
                slots.append(step.slot)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(slots) == 160
    assert {later - earlier for earlier, later in itertools.pairwise(sorted(slots))} == {SLOT}


@pytest.mark.parametrize("seed", range(3))
def test_busy_queue_loses_at_most_one_slot_for_each_that_dies(queue: Queue, seed: int) -> None:
    """Callers of all classes ask when they are told to, some die waiting and are replaced by new ones."""
    dice = random.Random(seed)
    lead, grants, deaths = 0.2, 150, 15
    names = itertools.count()
    dying = set(dice.sample(range(grants), deaths))

    def newcomer(at: float) -> tuple[float, str, Priority, float]:
        return at, str(next(names)), dice.choice(list(Priority)), at

    # When each asks next, its name, its class, since when it waits.
    callers = [newcomer(0.1 + n / 100) for n in range(6)]
    granted: list[float] = []
    waited: dict[Priority, list[float]] = {priority: [] for priority in Priority}
    while len(granted) < grants:
        heapq.heapify(callers)
        at, name, priority, since = heapq.heappop(callers)
        step = queue.ask(name, at, priority)
        if step.granted:
            slot = (step.slot - BEGAN).total_seconds()
            if len(granted) in dying:
                # The one that would be next is killed; another one comes.
                callers.remove(min(callers))
                callers.append(newcomer(at + 0.01))
            granted.append(slot)
            waited[priority].append(slot - since)
            callers.append(newcomer(slot + 0.01))
        else:
            wait = (step.slot - step.now).total_seconds()
            nap = min(max(wait - lead, 0.005), LONGEST_NAP.total_seconds())
            callers.append((at + nap, name, priority, since))
    slot = SLOT.total_seconds()
    assert min(later - earlier for earlier, later in itertools.pairwise(granted)) >= slot - 1e-5
    assert granted[-1] - granted[0] <= (grants - 1 + deaths) * slot
    # Everybody's turn comes: the lowest class is overtaken for 30 slots at most, then goes by arrival.
    assert all(waited.values())
    assert max(waited[Priority.REPAIR]) <= (30 + 6 + deaths) * slot
    assert fmean(waited[Priority.LIVE]) < fmean(waited[Priority.REPAIR])


# -- without a database -----------------------------------------------------------------------------------------


def test_no_database_is_unreachable(postgres: EmbeddedPostgres) -> None:
    with (
        pytest.raises(Unreachable, match="the warehouse is not reachable") as caught,
        PostgresQuota(postgres.url("no_such_database"), SystemClock()),
    ):
        pass
    assert caught.value.delay == timedelta(seconds=30)


def test_database_that_does_not_come_back_is_unreachable(own_warehouse: URL, postgres: EmbeddedPostgres) -> None:
    clock = FixedClock()
    with opened(own_warehouse, clock) as quota:
        quota.acquire(KEY, INTERVAL)
        postgres.drop_database(str(own_warehouse.database))
        for use in (
            lambda: quota.acquire(KEY, INTERVAL),
            lambda: quota.push_back(KEY, INTERVAL),
            quota.now,
        ):
            before = clock.ticks
            with pytest.raises(Unreachable, match="lost the warehouse and it did not come back within 60 s") as caught:
                use()
            assert 50 <= clock.ticks - before <= 60
            assert caught.value.delay == timedelta(seconds=30)


def test_connection_that_was_ended_is_opened_again(
    quota: PostgresQuota, db: psycopg.Connection, clock: FixedClock
) -> None:
    first = quota.acquire(KEY, INTERVAL)
    end_connections(db)
    assert quota.acquire(KEY, INTERVAL) - first == SLOT


def test_use_outside_of_its_block_is_a_bug(warehouse: URL) -> None:
    quota = PostgresQuota(warehouse, SystemClock())
    with pytest.raises(RuntimeError, match="outside of its with block"):
        quota.now()
    with quota:
        quota.now()
    with pytest.raises(RuntimeError, match="outside of its with block"):
        quota.now()
