"""What pulling tells the quota: whose limit was met, how long to wait, which class calls, what was prepared in time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kit import HOUR, FixedClock, hook, simulated
from sqlalchemy import URL

import simulator
from simulator import FaultSpec, RunningServer, SimConfig
from tieout.core.clock import SystemClock
from tieout.core.egress import Sending
from tieout.core.errors import QuotaBusy, RetryLater, Throttled, Unreachable
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.http import MAX_RETRY_AFTER
from tieout.core.landing import Manifest
from tieout.core.pull import MAX_CALL_TRIES, PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota, QuotaKey
from tieout.core.slices import Slice, Window
from tieout.providers import feed_spec

BETS = feed_spec("lucko", "bets")
BETLOGS = feed_spec("vertexplay", "betlogs")
FAST = timedelta(milliseconds=20)
EMPTY_BETS = b'{"code": 200, "message": "success", "data": {"transactions": [], "total": 0}}'


def rows(db: psycopg.Connection) -> dict[str, dict[str, Any]]:
    with db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        found = cursor.execute("SELECT *, next_free_at - clock_timestamp() AS ahead FROM ops.quota").fetchall()
    return {row["endpoint"]: row for row in found}


@dataclass
class Pulls:
    """Pulls an hour of yesterday with a caller."""

    warehouse: URL
    base: Path
    clock: FixedClock = field(default_factory=FixedClock)

    def plan(self, feed: FeedSpec, **changes: Any) -> PullPlan:
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 30 * HOUR
        fields = {"slice": Slice(start, start + HOUR), "interval": FAST, **changes}
        return PullPlan(feed=feed, agent="acme", options=FeedOptions(), lag=feed.lag, **fields)

    def pull(self, caller: Any, plan: PullPlan) -> Manifest:
        with PostgresQuota(self.warehouse, SystemClock()) as quota:
            caller.wait_for = lambda endpoint: quota.acquire(
                QuotaKey(provider=plan.feed.provider, endpoint=endpoint, merchant_id=caller.merchant_id), plan.interval
            )
            puller = SlicePuller(caller=caller, quota=quota, clock=self.clock, landing=self.base, jitter=lambda: 0.5)
            result = puller.pull(plan)
        assert isinstance(result, tuple)
        return result[1]


@pytest.fixture
def pulls(warehouse: URL, tmp_path: Path) -> Pulls:
    return Pulls(warehouse, tmp_path / "landing")


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with simulator.serve(SimConfig(seed=11, quota_scale=0)) as running:
        yield running


# -- VertexPlay's token -----------------------------------------------------------------------------------------


def test_token_costs_a_slot_of_its_own_endpoint_only(
    pulls: Pulls, server: RunningServer, db: psycopg.Connection
) -> None:
    manifest = pulls.pull(simulated(server, "vertexplay"), pulls.plan(BETLOGS))
    kept = rows(db)
    assert manifest.page_count == 6
    assert {name: row["reserved"] - row["given_up"] for name, row in kept.items()} == {"/v2/auth": 1, "/v2/betlogs": 6}


def test_throttled_token_pushes_its_own_row(pulls: Pulls, server: RunningServer, db: psycopg.Connection) -> None:
    server.simulator.faults.add(FaultSpec(name="throttle", provider="vertexplay", endpoint="auth", next=2))
    pulls.pull(simulated(server, "vertexplay"), pulls.plan(BETLOGS))
    kept = rows(db)
    assert (kept["/v2/auth"]["throttled"], kept["/v2/betlogs"]["throttled"]) == (2, 0)
    assert kept["/v2/betlogs"]["reserved"] - kept["/v2/betlogs"]["given_up"] == 6


def test_throttled_call_pushes_the_row_of_the_calls(
    pulls: Pulls, server: RunningServer, db: psycopg.Connection
) -> None:
    server.simulator.faults.add(FaultSpec(name="throttle", provider="vertexplay", endpoint="betlogs", next=1))
    pulls.pull(simulated(server, "vertexplay"), pulls.plan(BETLOGS))
    kept = rows(db)
    assert (kept["/v2/auth"]["throttled"], kept["/v2/betlogs"]["throttled"]) == (0, 1)


def test_long_ban_of_tokens_gives_the_worker_back_and_leaves_the_calls_alone(
    pulls: Pulls, server: RunningServer, db: psycopg.Connection
) -> None:
    with PostgresQuota(pulls.warehouse, SystemClock()) as quota:
        quota.push_back(
            QuotaKey(provider="vertexplay", endpoint="/v2/auth", merchant_id="vertexplaydemo"), timedelta(hours=1)
        )
    with pytest.raises(QuotaBusy, match="/v2/auth") as caught:
        pulls.pull(simulated(server, "vertexplay"), pulls.plan(BETLOGS))
    assert caught.value.delay is not None
    assert timedelta(minutes=59) < caught.value.delay <= timedelta(hours=1)
    assert list(rows(db)) == ["/v2/auth"]


# -- what throttle answers say ----------------------------------------------------------------------------------


@contextmanager
def answering(*retry_after: str | None) -> Iterator[str]:
    """Serve HTTP 429 with each of the headers, one after the other, then an empty page of bets."""
    left = list(retry_after)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            header = left.pop(0) if left else ""
            self.send_response(200 if header == "" else 429)
            if header:
                self.send_header("Retry-After", header)
            self.end_headers()
            self.wfile.write(EMPTY_BETS)

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def later(seconds: float) -> str:
    """An HTTP date: whole seconds."""
    return format_datetime(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds), usegmt=True)


def test_short_retry_after_is_waited_for_in_place(pulls: Pulls, db: psycopg.Connection) -> None:
    began = datetime.now(UTC)
    with answering("1", later(3)) as url:
        manifest = pulls.pull(hook("lucko", host=url), pulls.plan(BETS))
    assert manifest.pulled_at - began >= timedelta(seconds=2)
    kept = rows(db)[BETS.endpoint]
    # The answer said how long to wait: nothing has to be guessed.
    assert (kept["throttled"], kept["min_interval"], kept["widened"]) == (2, None, 0)


@pytest.mark.parametrize(("seconds", "as_date"), [(900, False), (900, True), (10**9, False), (10**8, True)])
def test_long_retry_after_gives_the_worker_back_and_holds_everyone(
    pulls: Pulls, db: psycopg.Connection, seconds: int, as_date: bool
) -> None:
    with (
        answering(later(seconds) if as_date else str(seconds)) as url,
        pytest.raises(Throttled, match="HTTP 429") as caught,
    ):
        pulls.pull(hook("lucko", host=url), pulls.plan(BETS))
    asked = min(timedelta(seconds=seconds), MAX_RETRY_AFTER)
    assert caught.value.delay is not None
    assert asked - timedelta(seconds=30) < caught.value.delay <= asked
    assert asked - timedelta(seconds=60) < rows(db)[BETS.endpoint]["ahead"] <= asked
    with answering() as url, pytest.raises(QuotaBusy):
        pulls.pull(hook("lucko", host=url), pulls.plan(BETS))


def test_answer_that_does_not_say_how_long_widens_the_spacing_and_says_so(
    pulls: Pulls, server: RunningServer, db: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    server.simulator.faults.add(FaultSpec(name="throttle", provider="lucko", next=1))
    plan = pulls.plan(BETS)
    with caplog.at_level(logging.WARNING):
        pulls.pull(simulated(server, "lucko"), plan)
    kept = rows(db)[BETS.endpoint]
    assert (kept["min_interval"], kept["widened"]) == (6 * FAST, 1)
    assert kept["widened_at"] == kept["throttled_at"]
    (said,) = [one.getMessage() for one in caplog.records if "keep" in one.getMessage()]
    for part in (plan.where, "agent=acme", "408004", "merchant luckodemo", "0.12 s", "ops.quota", "min_interval"):
        assert part in said


# -- prepared in time -------------------------------------------------------------------------------------------


@dataclass
class Fickle:
    """A caller that cannot prepare its first calls."""

    errors: list[RetryLater]
    merchant_id: str = "m1"
    calls: int = 0

    def prepare(self, feed: FeedSpec, window: Window, offset: int) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        self.calls += 1
        return EMPTY_BETS


def test_provider_that_cannot_be_reached_costs_no_slot(pulls: Pulls, db: psycopg.Connection) -> None:
    caller = Fickle([Unreachable("no way."), Unreachable("no way.")])
    pulls.pull(caller, pulls.plan(BETS))
    kept = rows(db)[BETS.endpoint]
    assert (caller.calls, kept["reserved"] - kept["given_up"]) == (1, 1)
    assert pulls.clock.slept == [1.0, 2.0]


def test_provider_that_stays_out_of_reach_is_an_error(pulls: Pulls, db: psycopg.Connection) -> None:
    caller = Fickle([Unreachable("no way.")] * MAX_CALL_TRIES)
    with pytest.raises(Unreachable, match="no way"):
        pulls.pull(caller, pulls.plan(BETS))
    assert (caller.calls, rows(db)) == (0, {})


def test_call_that_would_come_too_late_is_not_sent_and_not_counted(pulls: Pulls, db: psycopg.Connection) -> None:
    class Slow(Fickle):
        slow = 2 * MAX_CALL_TRIES
        sending: Sending

        def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
            if self.slow:
                self.slow -= 1
                time.sleep(0.03)
            self.sending.last_look()
            return super().fetch(feed, window, offset)

    caller = Slow([])
    pulls.pull(caller, pulls.plan(BETS))
    kept = rows(db)[BETS.endpoint]
    assert caller.calls == 1
    assert kept["given_up"] >= 2 * MAX_CALL_TRIES
    assert kept["reserved"] == kept["given_up"] + 1
    assert pulls.clock.slept == []


@dataclass
class Quota:
    """A quota that looks after the connection before each of its grants."""

    pushed: list[QuotaKey] = field(default_factory=list)

    def acquire(self, key: QuotaKey, interval: timedelta, *, keep_warm: Any, **others: Any) -> datetime:
        keep_warm()
        return self.now()

    def push_back(self, key: QuotaKey, delay: timedelta, *, widen_to: timedelta | None = None) -> None:
        self.pushed.append(key)

    def confirm(self) -> None:
        pass

    def sent(self) -> None:
        pass

    def now(self) -> datetime:
        return datetime.now(UTC)


def test_what_fails_while_waiting_is_left_to_the_call(tmp_path: Path) -> None:
    throttled = Throttled("too often.")
    throttled.endpoint = "/v2/auth"
    errors: list[RetryLater] = [throttled, Unreachable("no way."), QuotaBusy("later.")]
    quota = Quota()

    class Waiting(Fickle):
        first = True

        def prepare(self, feed: FeedSpec, window: Window, offset: int) -> None:
            self.first = not self.first
            if self.first and errors:
                raise errors.pop(0)

    caller = Waiting([])
    plan = Pulls(URL.create("postgresql"), tmp_path).plan(BETS)
    for _ in range(3):
        SlicePuller(caller=caller, quota=quota, clock=FixedClock(), landing=tmp_path).pull(plan)
    assert errors == []
    assert quota.pushed == [QuotaKey(provider="lucko", endpoint="/v2/auth", merchant_id="m1")]
    assert caller.calls == 3


@pytest.mark.parametrize(("kind", "place"), [("first", 0), ("backfill", 1), ("revisit", 2), ("repair", 3)])
def test_kind_of_the_reading_is_the_class_in_the_queue(
    warehouse: URL, pulls: Pulls, db: psycopg.Connection, kind: str, place: int
) -> None:
    seen: list[int] = []
    began = datetime.now(UTC)

    class Looking(Fickle):
        def prepare(self, feed: FeedSpec, window: Window, offset: int) -> None:
            found = db.execute("SELECT (entry ->> 'class')::int FROM ops.quota, jsonb_each(waiting) w(c, entry)")
            seen.extend(row[0] for row in found.fetchall())

    # Time passes only when it is slept through: the call has to wait, however slow the machine is.
    with PostgresQuota(
        warehouse, pulls.clock, database_clock=lambda: began + timedelta(seconds=pulls.clock.ticks)
    ) as quota:
        quota.push_back(QuotaKey(provider="lucko", endpoint=BETS.endpoint, merchant_id="m1"), timedelta(seconds=0.3))
        puller = SlicePuller(caller=Looking([]), quota=quota, clock=pulls.clock, landing=pulls.base)
        puller.pull(pulls.plan(BETS, kind=kind))
    assert seen == [place]
