"""The quota row under several processes: spaced, killed, stopped, throttled, overtaken, and the database restarted."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import URL

from demo.postgres import EmbeddedPostgres
from tieout.core.clock import SystemClock
from tieout.core.quota import SPACING, TIMER_GRANULARITY, PostgresQuota, QuotaKey
from tieout.core.warehouse import connect
from tieout.migrations import upgrade

CALLER = Path(__file__).with_name("quota_caller.py")
Start = Callable[..., list["Caller"]]
KEY = QuotaKey(provider="lucko", endpoint="/bets", merchant_id="m1")


class Caller:
    """A process that takes slots as soon as it is told to."""

    def __init__(
        self, url: URL, *, calls: int, interval: float, priority: str = "LIVE", merchant: str = "m1", kind: str = ""
    ) -> None:
        arguments = [url.render_as_string(hide_password=False), merchant, str(interval), str(calls), priority, kind]
        self.process = subprocess.Popen(
            [sys.executable, str(CALLER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ready(self) -> None:
        """Wait until it could begin."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b'"ready"\n', self.process.communicate()[1].decode()[-2000:]

    def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def granted(self) -> list[float]:
        """Wait for its end and return the instants of its slots."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err.decode()[-2000:]
        return [json.loads(line) for line in out.splitlines()]

    @property
    def status(self) -> str:
        return str(psutil.Process(self.process.pid).status())

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@pytest.fixture
def start(warehouse: URL) -> Iterator[Start]:
    """Start callers with the given settings and return them when all are ready; they are gone when the test ends."""
    callers: list[Caller] = []

    def begin(*settings: dict[str, Any], url: URL = warehouse) -> list[Caller]:
        started = [Caller(url, **one) for one in settings]
        callers.extend(started)
        for caller in started:
            caller.ready()
        return started

    yield begin
    for caller in callers:
        if caller.process.poll() is None:
            caller.process.kill()
        caller.process.communicate()


def eventually(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.01)


def waiting(db: psycopg.Connection, count: int) -> None:
    """Wait until so many callers stand in the queue."""

    def stand() -> bool:
        found = db.execute("SELECT count(*) FROM ops.quota, jsonb_object_keys(waiting)").fetchone()
        return found == (count,)

    eventually(stand, f"{count} callers wait")


def gaps(instants: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(sorted(instants))]


def push_back(url: URL, seconds: float) -> float:
    """Have the row pushed back from now on and return the instant it is free again."""
    with PostgresQuota(url, SystemClock()) as quota:
        quota.push_back(KEY, timedelta(seconds=seconds))
        with connect(url) as connection:
            found = connection.execute(
                "SELECT extract(epoch FROM next_free_at) FROM ops.quota WHERE merchant_id = 'm1'"
            ).fetchone()
    assert found is not None
    return float(found[0])


def test_calls_of_several_processes_are_spaced(start: Start, db: psycopg.Connection) -> None:
    # The other one's calls take so little time that a machine which stands still for a moment does not hide the rest.
    settings = [("m1", 0.1), ("m1", 0.1), ("m1", 0.1), ("other", 0.05)]
    callers = start(*({"merchant": one, "calls": 6, "interval": interval} for one, interval in settings))
    for caller in callers:
        caller.go()
    granted = [caller.granted() for caller in callers]
    of_one = [instant for instants in granted[:3] for instant in instants]
    assert len(of_one) == 18
    assert min(gaps(of_one)) >= 0.1 * SPACING - TIMER_GRANULARITY
    kept = db.execute("SELECT reserved, given_up, waiting FROM ops.quota WHERE merchant_id = 'm1'").fetchone()
    assert kept is not None
    assert kept[0] == 18 + kept[1]
    assert kept[2] == {}
    # The caller of another row does not wait for them.
    assert granted[3][-1] - granted[3][0] < sum(gaps(of_one)) / 2


def test_killed_waiter_costs_at_most_one_slot(start: Start, warehouse: URL, db: psycopg.Connection) -> None:
    interval = 0.8
    killed, *others = start(*({"calls": calls, "interval": interval} for calls in (1, 2, 2)))
    free = push_back(warehouse, 1)
    for number, caller in enumerate((killed, *others), start=1):
        caller.go()
        waiting(db, number)
    killed.send(signal.SIGKILL)
    granted = sorted(instant for caller in others for instant in caller.granted())
    assert len(granted) == 4
    assert min(gaps(granted)) >= interval
    # Four slots, one that the dead one let pass, and what a busy machine adds: less than another slot.
    assert granted[-1] - free < interval * SPACING * 4 + 0.6


def test_stopped_waiter_is_passed_over_and_goes_on_later(start: Start, warehouse: URL, db: psycopg.Connection) -> None:
    interval = 0.4
    stopped, other = start({"calls": 1, "interval": interval}, {"calls": 2, "interval": interval})
    push_back(warehouse, 1)
    stopped.go()
    waiting(db, 1)
    stopped.send(signal.SIGSTOP)
    eventually(lambda: stopped.status == psutil.STATUS_STOPPED, "the waiter is stopped")
    other.go()
    first, second = other.granted()
    stopped.send(signal.SIGCONT)
    (late,) = stopped.granted()
    assert min(gaps([first, second, late])) >= interval


def test_process_stopped_with_a_slot_in_its_hand_gives_it_up(
    start: Start, warehouse: URL, db: psycopg.Connection
) -> None:
    interval = 0.3
    stopped, other = start({"calls": 1, "interval": interval, "kind": "stopped"}, {"calls": 2, "interval": interval})
    push_back(warehouse, 0.5)
    stopped.go()
    eventually(lambda: stopped.status == psutil.STATUS_STOPPED, "the caller is stopped after it took a slot")
    other.go()
    granted = other.granted()
    stopped.send(signal.SIGCONT)
    granted += stopped.granted()
    assert min(gaps(granted)) >= interval
    assert db.execute("SELECT given_up >= 1 FROM ops.quota").fetchone() == (True,)


def test_throttle_answer_holds_every_process_that_waits(start: Start, warehouse: URL, db: psycopg.Connection) -> None:
    callers = start(*[{"calls": 1, "interval": 0.1}] * 2)
    push_back(warehouse, 1)
    for caller in callers:
        caller.go()
    waiting(db, 2)
    free = push_back(warehouse, 2)
    assert min(instant for caller in callers for instant in caller.granted()) >= free


def test_live_calls_are_not_slowed_down_by_a_long_repair(start: Start, warehouse: URL, db: psycopg.Connection) -> None:
    interval, slots = 0.2, 8
    live, *repairs = start(
        {"calls": slots, "interval": interval}, *[{"calls": 50, "interval": interval, "priority": "REPAIR"}] * 3
    )
    push_back(warehouse, 1)
    for repair in repairs:
        repair.go()
    waiting(db, 3)
    live.go()
    granted = live.granted()
    took = (granted[-1] - granted[0]) / (interval * SPACING)
    # In the order of arrival it would get every fourth slot: 28 for 8 calls.
    assert took < slots * 1.5


# -- the database -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fragile() -> Iterator[EmbeddedPostgres]:
    """A server of this module's own, which tests may crash."""
    with tempfile.TemporaryDirectory(prefix="tieout-pg-") as folder, EmbeddedPostgres(Path(folder) / "data") as server:
        server.create_database("quota")
        upgrade(server.url("quota"))
        yield server


def kept_row(url: URL, merchant: str) -> tuple[object, ...] | None:
    with connect(url) as connection:
        return connection.execute(
            "SELECT next_free_at, min_interval, widened_at, widened, throttled, reserved FROM ops.quota"
            " WHERE merchant_id = %s",
            (merchant,),
        ).fetchone()


def test_row_outlives_a_crash_of_the_database(fragile: EmbeddedPostgres) -> None:
    url = fragile.url("quota")
    key = QuotaKey(provider="lucko", endpoint="/bets", merchant_id="kept")
    interval = timedelta(seconds=1)
    with PostgresQuota(url, SystemClock()) as quota:
        quota.push_back(key, timedelta(0), widen_to=timedelta(seconds=3))
        first = quota.acquire(key, interval)
    before = kept_row(url, "kept")
    assert before is not None
    fragile.restart("immediate")
    assert kept_row(url, "kept") == before
    with PostgresQuota(url, SystemClock()) as quota:
        assert quota.acquire(key, interval) - first >= timedelta(seconds=3)


def test_waiting_processes_outlive_a_crash_of_the_database(fragile: EmbeddedPostgres, start: Start) -> None:
    url = fragile.url("quota")
    interval = 0.5
    callers = start(*[{"calls": 2, "interval": interval}] * 2, url=url)
    free = push_back(url, 1)
    for caller in callers:
        caller.go()
    with connect(url, autocommit=True) as db:
        waiting(db, 2)
    fragile.restart("immediate")
    granted = [instant for caller in callers for instant in caller.granted()]
    assert len(granted) == 4
    assert min(granted) >= free
    assert min(gaps(granted)) >= interval
