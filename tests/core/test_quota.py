"""Quota on a real PostgreSQL: spacing across processes, slots given up, throttling for everyone."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from kit import FixedClock
from sqlalchemy import URL

from demo.postgres import EmbeddedPostgres
from tieout.core.clock import SystemClock
from tieout.core.errors import Throttled, Unreachable
from tieout.core.quota import MAX_SLOTS_GIVEN_UP, SPACING, PostgresQuota, QuotaKey

KEY = QuotaKey(provider="lucko", endpoint="/bets", merchant_id="m1")
INTERVAL = timedelta(seconds=5)

CALLER = """
import json, sys
from datetime import timedelta
from tieout.core.clock import SystemClock
from tieout.core.quota import PostgresQuota, QuotaKey
with PostgresQuota(sys.argv[1], SystemClock()) as quota:
    key = QuotaKey(provider="lucko", endpoint="/bets", merchant_id=sys.argv[2])
    print(json.dumps([quota.acquire(key, timedelta(seconds=0.1)).timestamp() for _ in range(int(sys.argv[3]))]))
"""


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def quota(warehouse: URL, clock: FixedClock) -> Iterator[PostgresQuota]:
    """A quota whose sleeps take no time; the database's clock hardly moves meanwhile."""
    with PostgresQuota(warehouse, clock) as opened:
        yield opened


def row(db: psycopg.Connection, key: QuotaKey = KEY) -> dict[str, Any]:
    with db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        found = cursor.execute(
            "SELECT *, next_free_at - clock_timestamp() AS ahead FROM ops.quota"
            " WHERE (provider, endpoint, merchant_id) = (%s, %s, %s)",
            (key.provider, key.endpoint, key.merchant_id),
        ).fetchone()
    assert found is not None
    return found


def seconds(value: timedelta) -> float:
    return value.total_seconds()


def test_calls_of_several_processes_are_spaced(warehouse: URL, db: psycopg.Connection) -> None:
    url = warehouse.render_as_string(hide_password=False)
    callers = [
        subprocess.Popen([sys.executable, "-c", CALLER, url, merchant, "6"], stdout=subprocess.PIPE)
        for merchant in ("m1", "m1", "m1", "other")
    ]
    answers = [json.loads(caller.communicate(timeout=60)[0]) for caller in callers]
    assert [caller.returncode for caller in callers] == [0] * 4
    granted = sorted(instant for answer in answers[:3] for instant in answer)
    assert len(granted) == 18
    gaps = [later - earlier for earlier, later in itertools.pairwise(granted)]
    # Slots lie 0.102 s apart; a caller may be up to 5 ms behind its own.
    assert min(gaps) >= 0.1 * SPACING - 0.005
    kept = row(db)
    assert kept["reserved"] == 18 + kept["given_up"]
    other = answers[3]
    assert other[-1] - other[0] < 0.102 * 5 + 2


def test_slots_follow_each_other_at_the_spacing(
    quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection
) -> None:
    for _ in range(3):
        quota.acquire(KEY, INTERVAL)
    assert clock.slept == pytest.approx([5.1, 10.2], abs=0.5)
    assert clock.slept[1] - clock.slept[0] == pytest.approx(5.1, abs=0.5)
    assert seconds(row(db)["ahead"]) == pytest.approx(15.3, abs=0.5)


def test_granted_instant_is_the_slot_on_the_databases_clock(quota: PostgresQuota, db: psycopg.Connection) -> None:
    first = quota.acquire(KEY, INTERVAL)
    second = quota.acquire(KEY, INTERVAL)
    assert seconds(second - first) == pytest.approx(5.1, abs=0.01)
    assert second == pytest.approx(row(db)["next_free_at"] - INTERVAL * SPACING, abs=timedelta(milliseconds=1))


def test_idle_time_is_not_saved_up(quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection) -> None:
    quota.acquire(KEY, INTERVAL)
    db.execute("UPDATE ops.quota SET next_free_at = next_free_at - interval '1 hour'")
    quota.acquire(KEY, INTERVAL)
    assert clock.slept == []
    quota.acquire(KEY, INTERVAL)
    assert clock.slept == pytest.approx([5.1], abs=0.5)


def test_keys_are_independent(quota: PostgresQuota, clock: FixedClock, db: psycopg.Connection) -> None:
    keys = [
        KEY,
        QuotaKey(provider="jdb", endpoint="/bets", merchant_id="m1"),
        QuotaKey(provider="lucko", endpoint="/rebates", merchant_id="m1"),
        QuotaKey(provider="lucko", endpoint="/bets", merchant_id="m2'; --"),
    ]
    for key in keys:
        quota.acquire(key, INTERVAL)
    assert clock.slept == []
    assert db.execute("SELECT count(*) FROM ops.quota").fetchone() == (4,)


@dataclass
class SleepyClock(FixedClock):
    """Oversleeps by the given amounts, one after the other, then is punctual."""

    late: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.pass_time(self.late.pop(0) if self.late else 0.0)


def test_late_waker_gives_its_slot_up(warehouse: URL, db: psycopg.Connection) -> None:
    clock = SleepyClock(late=[0.06, 3.0])
    with PostgresQuota(warehouse, clock) as quota:
        quota.acquire(KEY, INTERVAL)
        quota.acquire(KEY, INTERVAL)
    assert len(clock.slept) == 3
    kept = row(db)
    assert (kept["reserved"], kept["given_up"]) == (4, 2)


def test_slightly_late_waker_keeps_its_slot(warehouse: URL, db: psycopg.Connection) -> None:
    clock = SleepyClock(late=[0.04])
    with PostgresQuota(warehouse, clock) as quota:
        quota.acquire(KEY, INTERVAL)
        quota.acquire(KEY, INTERVAL)
    assert len(clock.slept) == 1
    assert row(db)["given_up"] == 0


def test_machine_that_always_wakes_late_gets_an_error(warehouse: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    # This clock's sleeps take no time of the database's: its slots pile up ahead.
    monkeypatch.setattr("tieout.core.quota.LONGEST_WAIT", float("inf"))
    clock = SleepyClock(late=[1.0] * MAX_SLOTS_GIVEN_UP)
    with PostgresQuota(warehouse, clock) as quota:
        quota.acquire(KEY, INTERVAL)
        with pytest.raises(Unreachable, match="no slot of lucko /bets of merchant m1 could be met"):
            quota.acquire(KEY, INTERVAL)


def test_push_back_holds_everyone(quota: PostgresQuota, warehouse: URL, db: psycopg.Connection) -> None:
    quota.acquire(KEY, INTERVAL)
    quota.push_back(KEY, timedelta(seconds=60))
    kept = row(db)
    assert seconds(kept["ahead"]) == pytest.approx(60, abs=1)
    assert (kept["throttled"], kept["min_interval"]) == (1, None)
    assert kept["throttled_at"] is not None
    other = FixedClock()
    with PostgresQuota(warehouse, other) as second:
        second.acquire(KEY, INTERVAL)
    assert other.slept == pytest.approx([60], abs=1)


def test_nobody_sleeps_through_a_long_ban(quota: PostgresQuota, warehouse: URL) -> None:
    quota.push_back(KEY, timedelta(hours=2))
    other = FixedClock()
    with PostgresQuota(warehouse, other) as second, pytest.raises(Throttled) as caught:
        second.acquire(KEY, INTERVAL)
    assert caught.value.delay is not None
    assert caught.value.delay.total_seconds() == pytest.approx(7200, abs=5)
    assert other.slept == []


def test_push_back_never_brings_a_call_forward(quota: PostgresQuota, db: psycopg.Connection) -> None:
    quota.push_back(KEY, timedelta(seconds=60))
    quota.push_back(KEY, timedelta(seconds=1))
    kept = row(db)
    assert seconds(kept["ahead"]) == pytest.approx(60, abs=1)
    assert kept["throttled"] == 2


def test_widened_spacing_persists_and_only_grows(quota: PostgresQuota, warehouse: URL, db: psycopg.Connection) -> None:
    quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=30))
    quota.push_back(KEY, timedelta(0), widen_to=timedelta(seconds=10))
    quota.push_back(KEY, timedelta(0))
    assert row(db)["min_interval"] == timedelta(seconds=30)
    clock = FixedClock()
    with PostgresQuota(warehouse, clock) as later:
        first = later.acquire(KEY, INTERVAL)
        second = later.acquire(KEY, INTERVAL)
        third = later.acquire(KEY, timedelta(seconds=40))
        fourth = later.acquire(KEY, INTERVAL)
    assert seconds(second - first) == pytest.approx(30.6, abs=0.01)
    assert seconds(third - second) == pytest.approx(30.6, abs=0.01)
    assert seconds(fourth - third) == pytest.approx(40.8, abs=0.01)


def test_quota_knows_the_databases_clock(quota: PostgresQuota, db: psycopg.Connection) -> None:
    found = db.execute("SELECT clock_timestamp()").fetchone()
    assert found is not None
    assert timedelta(0) <= quota.now() - found[0] < timedelta(seconds=5)


def test_no_database_is_unreachable(postgres: EmbeddedPostgres) -> None:
    with (
        pytest.raises(Unreachable, match="the warehouse is not reachable") as caught,
        PostgresQuota(postgres.url("no_such_database"), SystemClock()),
    ):
        pass
    assert caught.value.delay == timedelta(seconds=30)


def test_database_lost_while_waiting_is_unreachable(own_warehouse: URL, postgres: EmbeddedPostgres) -> None:
    with PostgresQuota(own_warehouse, FixedClock()) as quota:
        quota.acquire(KEY, INTERVAL)
        postgres.drop_database(str(own_warehouse.database))
        for use in (
            lambda: quota.acquire(KEY, INTERVAL),
            lambda: quota.push_back(KEY, INTERVAL),
            quota.now,
        ):
            with pytest.raises(Unreachable, match="lost the warehouse while waiting for quota"):
                use()


def test_use_outside_of_its_block_is_a_bug(warehouse: URL) -> None:
    with pytest.raises(RuntimeError, match="outside of its with block"):
        PostgresQuota(warehouse, SystemClock()).now()
