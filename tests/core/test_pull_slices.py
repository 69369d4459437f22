"""Pulling over HTTP from the simulator, under the real quota, into landing and on into staging."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kit import HOUR, FixedClock, simulated
from psycopg.types.json import set_json_loads
from sqlalchemy import URL, DateTime, Numeric

import simulator
from simulator import FaultSpec, RunningServer, SimConfig, VertexPlayAgent
from tieout.core import landing
from tieout.core.clock import Clock, SystemClock, epoch_ms, from_epoch_ms
from tieout.core.errors import FatalError, NotReady, PastReach, SuspectReading, Throttled, Unreachable
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.landing import Manifest
from tieout.core.load import load_reading
from tieout.core.pull import MAX_ATTEMPTS, MAX_CALL_TRIES, PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota, QuotaKey
from tieout.core.slices import Slice, Window
from tieout.providers import FEEDS, feed_spec
from tieout.providers.base import ProviderHook

DAY = timedelta(days=1)
BETS = feed_spec("lucko", "bets")
FAST = timedelta(milliseconds=1)
OPTIONS = {"hotroad": FeedOptions(currency="CNY"), "jdb": FeedOptions(currency="RMB", g_types=("0", "7", "9", "18"))}
MERCHANTS = {
    "lucko": "luckodemo", "hotroad": "hotroaddemo", "jdb": "jdbdemo", "vertexplay": "vertexplaydemo",
}  # fmt: skip


def today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A simulator without quotas whose world stands at the present instant."""
    with simulator.serve(SimConfig(seed=11, quota_scale=0, now=epoch_ms(datetime.now(UTC)))) as running:
        yield running


@dataclass
class Pulls:
    """Pulls slices of one simulator into one warehouse and one landing folder."""

    server: RunningServer
    warehouse: URL
    base: Path
    clock: Clock

    def hook(self, feed: FeedSpec, **changes: Any) -> ProviderHook:
        return simulated(self.server, feed.provider, **changes)

    def plan(self, feed: FeedSpec, slice_: Slice, **changes: Any) -> PullPlan:
        options = OPTIONS.get(feed.provider, FeedOptions())
        fields = {"interval": FAST, "lag": feed.lag, "options": options, **changes}
        return PullPlan(feed=feed, agent="acme", slice=slice_, **fields)

    def result(self, plan: PullPlan, hook: ProviderHook | None = None) -> tuple[str, Manifest] | str:
        caller = hook or self.hook(plan.feed)
        with PostgresQuota(self.warehouse, SystemClock()) as quota:
            caller.wait_for = lambda endpoint: quota.acquire(
                QuotaKey(provider=plan.feed.provider, endpoint=endpoint, merchant_id=caller.merchant_id), plan.interval
            )
            puller = SlicePuller(caller=caller, quota=quota, clock=self.clock, landing=self.base, jitter=lambda: 0.5)
            return puller.pull(plan)

    def pull(self, plan: PullPlan, hook: ProviderHook | None = None) -> tuple[Path, Manifest]:
        result = self.result(plan, hook)
        assert isinstance(result, tuple)
        return Path(result[0]), result[1]

    def manifests(self) -> list[Path]:
        return sorted(self.base.rglob("manifest.json"))

    def calls(self, endpoint: str) -> dict[str, Any]:
        found = [row for row in self.server.simulator.ledger.report() if row["endpoint"] == endpoint]
        return found[0] if found else {"accepted": 0, "throttled": 0, "rejected": 0, "violations": 0}

    def truth(self, feed: FeedSpec, slice_: Slice) -> list[dict[str, Any]]:
        name = f"{feed.provider}_{feed.name}"
        bounds = (epoch_ms(slice_.start), epoch_ms(slice_.end))
        return self.server.world.rows(name, MERCHANTS[feed.provider], *bounds)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def pulls(server: RunningServer, warehouse: URL, tmp_path: Path, clock: FixedClock) -> Pulls:
    return Pulls(server, warehouse, tmp_path / "landing", clock)


# -- all five feeds against the truth ---------------------------------------------------------------------------

SLICES = {
    "lucko__bets": (today() - 2 * DAY + 9 * HOUR, 3 * HOUR),
    "lucko__rebates": (today() - 3 * DAY, DAY),
    "hotroad__summary": (today() - 2 * DAY + 22 * HOUR, 4 * HOUR),
    "jdb__daily": (today() - 5 * DAY + 4 * HOUR, 2 * DAY),
    "vertexplay__betlogs": (today() - 2 * DAY + 23 * HOUR, HOUR),
}


def typed(feed: FeedSpec, column: str, value: Any) -> Any:
    """Return a served value as staging must hold it."""
    kind = feed.table.c[column].type
    if value is None:
        return None
    if isinstance(kind, Numeric):
        return Decimal(str(value))
    if isinstance(kind, DateTime):
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return None if value == 0 and column in feed.nullable_epochs else from_epoch_ms(value)
    return value


def expected(feed: FeedSpec, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the simulator's truth as staging must hold it, the provider's fields and the window's."""
    served = {name.strip(): value for name, value in row.items()}
    wire = dict(zip(feed.codec.columns, feed.codec.wire_names, strict=True))
    found = {column: typed(feed, column, served.get(name)) for column, name in wire.items()}
    if feed.provider == "hotroad":
        found["hour_start"] = datetime.strptime(served["hour"], "%Y-%m-%dT%H%z")
        found["currency"] = "CNY"
    if feed.provider == "jdb":
        found["report_date"] = datetime.strptime(served["date"], "%d-%m-%Y").date()
        found |= {"g_type": served["gType"], "currency": "RMB"}
    if feed.provider == "vertexplay":
        found["bet_key"] = f"transfer:{served['transferId']}"
    return found


def stored(db: psycopg.Connection, feed: FeedSpec) -> list[dict[str, Any]]:
    set_json_loads(partial(json.loads, parse_float=Decimal), db)
    with db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        columns = ", ".join(feed.data_columns)
        query = f"SELECT {columns}, extra FROM staging.{feed.table.name} WHERE agent = 'acme'"
        return cursor.execute(query.encode()).fetchall()


def by_key(feed: FeedSpec, rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    keyed = {tuple(row[name] for name in feed.key): row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


@pytest.mark.parametrize("feed_id", sorted(FEEDS))
def test_what_is_loaded_is_the_truth_field_by_field(pulls: Pulls, db: psycopg.Connection, feed_id: str) -> None:
    feed = FEEDS[feed_id]
    start, width = SLICES[feed_id]
    slice_ = Slice(start, start + width)
    path, manifest = pulls.pull(pulls.plan(feed, slice_))
    certificate = load_reading(pulls.warehouse, feed, path, path.parent)
    truth = [{**expected(feed, row), "extra": None} for row in pulls.truth(feed, slice_)]
    assert len(truth) > 10
    assert certificate.state == "certified"
    assert certificate.inserted == certificate.distinct_keys == manifest.rows == len(truth)
    assert by_key(feed, stored(db, feed)) == by_key(feed, truth)


def test_small_pages_give_the_same_rows(pulls: Pulls, db: psycopg.Connection) -> None:
    feed = replace(BETS, page_size=7)
    start, width = SLICES[feed.id]
    slice_ = Slice(start, start + width)
    path, manifest = pulls.pull(pulls.plan(feed, slice_))
    truth = pulls.truth(feed, slice_)
    (window,) = manifest.windows
    pages = -(-len(truth) // 7)
    assert pages > 3
    assert [page.file for page in window.pages] == [f"page-{n:05d}.json.gz" for n in range(1, pages + 1)]
    assert [page.rows for page in window.pages] == [7] * (pages - 1) + [len(truth) - 7 * (pages - 1)]
    assert {page.total for page in window.pages} == {len(truth)}
    assert pulls.calls("bets")["accepted"] == pages
    assert load_reading(pulls.warehouse, feed, path, path.parent).reason is None
    rows = [{**expected(feed, row), "extra": None} for row in truth]
    assert by_key(feed, stored(db, feed)) == by_key(feed, rows)


def test_small_pages_of_rebates_begin_at_zero(pulls: Pulls) -> None:
    feed = replace(feed_spec("lucko", "rebates"), page_size=5)
    start, width = SLICES[feed.id]
    slice_ = Slice(start, start + width)
    _, manifest = pulls.pull(pulls.plan(feed, slice_))
    assert manifest.page_count > 2
    assert manifest.rows == len(pulls.truth(feed, slice_)) == manifest.reported("total_last", slice_)


# -- the manifest -----------------------------------------------------------------------------------------------


def test_manifest_describes_the_reading_and_holds_no_secret(pulls: Pulls) -> None:
    feed = feed_spec("jdb", "daily")
    start, _ = SLICES[feed.id]
    before = datetime.now(UTC)
    path, manifest = pulls.pull(pulls.plan(feed, Slice(start, start + DAY), kind="backfill"))
    assert landing.read_manifest(path) == manifest
    assert (manifest.provider, manifest.feed, manifest.agent) == ("jdb", "daily", "acme")
    assert (manifest.merchant_id, manifest.kind, manifest.problem) == ("jdbdemo", "backfill", None)
    assert manifest.slice == Slice(start, start + DAY)
    assert manifest.options == {"currency": "RMB", "g_types": ["0", "7", "9", "18"]}
    assert [window.params for window in manifest.windows] == [{"gType": g} for g in ("0", "7", "9", "18")]
    assert all(window.attempts == 1 and window.settled for window in manifest.windows)
    instants = [page.requested_at for _, page in manifest.pages()]
    assert instants == sorted(instants)
    assert manifest.pulled_at == instants[0] >= before - timedelta(seconds=1)
    assert manifest.finished_at >= instants[-1]
    assert path.parent.name == manifest.reading_id
    text = path.read_text()
    for secret in ("demo-jdb-aes-key", "demo-jdb-iv-0000", "x=", "sign"):
        assert secret not in text


@pytest.mark.parametrize("feed_id", sorted(FEEDS))
def test_landing_holds_no_secret(pulls: Pulls, feed_id: str) -> None:
    feed = FEEDS[feed_id]
    start, width = SLICES[feed_id]
    path, _ = pulls.pull(pulls.plan(feed, Slice(start, start + width)))
    written = path.read_bytes() + b"".join(
        landing.read_page(path.parent, page) for _, page in landing.read_manifest(path).pages()
    )
    connection = pulls.hook(feed).connection
    secrets = [connection.password, *(v for k, v in connection.extra_dejson.items() if k in ("api_key", "iv_secret"))]
    assert all(str(secret).encode() not in written for secret in secrets)


def test_empty_slice_is_certified_as_no_activity(pulls: Pulls) -> None:
    config = replace(pulls.server.simulator.config, activity_until=epoch_ms(today() - 30 * DAY))
    with simulator.serve(config) as quiet:
        other = replace(pulls, server=quiet)
        start, width = SLICES["lucko__bets"]
        path, manifest = other.pull(other.plan(BETS, Slice(start, start + width)))
    assert (manifest.page_count, manifest.rows) == (1, 0)
    certificate = load_reading(pulls.warehouse, BETS, path, path.parent)
    assert (certificate.state, certificate.reason) == ("certified", "no_activity")


# -- a total that moves -----------------------------------------------------------------------------------------


def bets_slice() -> Slice:
    start, width = SLICES["lucko__bets"]
    return Slice(start, start + width)


def test_window_whose_total_moved_is_read_again(pulls: Pulls) -> None:
    feed = replace(BETS, page_size=25)
    pulls.server.simulator.faults.add(FaultSpec(name="moved_rows", next=1))
    before = len(pulls.truth(feed, bets_slice()))
    path, manifest = pulls.pull(pulls.plan(feed, bets_slice()))
    (window,) = manifest.windows
    assert (window.attempts, window.settled, manifest.problem) == (2, True, None)
    assert {page.total for page in window.pages} == {before - 1}
    assert len(list(path.parent.glob("page-*"))) > len(window.pages)
    certificate = load_reading(pulls.warehouse, feed, path, path.parent)
    assert (certificate.state, certificate.distinct_keys) == ("certified", before - 1)


def test_total_that_never_stands_still_is_recorded(pulls: Pulls, db: psycopg.Connection) -> None:
    feed = replace(BETS, page_size=25)
    pulls.server.simulator.faults.add(FaultSpec(name="moved_rows", probability=1.0))
    path, manifest = pulls.pull(pulls.plan(feed, bets_slice()))
    (window,) = manifest.windows
    assert (window.attempts, window.settled) == (MAX_ATTEMPTS, False)
    assert manifest.problem == "the control total moved while paging in 1 window(s), 3 readings each"
    assert window.total_first is not None
    assert window.total_last is not None
    assert window.total_first > window.total_last
    with pytest.raises(SuspectReading, match="control total moved"):
        load_reading(pulls.warehouse, feed, path, path.parent)
    assert db.execute("SELECT state, reason FROM ops.readings").fetchone() == ("suspect", manifest.problem)
    assert db.execute("SELECT count(*) > 20 FROM staging.lucko_bets").fetchone() == (True,)


# -- too early, too late ----------------------------------------------------------------------------------------


def test_slice_that_is_not_over_is_not_ready(pulls: Pulls) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    slice_ = Slice(hour, hour + 2 * HOUR)
    with pytest.raises(NotReady) as caught:
        pulls.result(pulls.plan(BETS, slice_, lag=timedelta(minutes=7)))
    ready_at = slice_.end + timedelta(minutes=7)
    assert caught.value.ready_at == ready_at
    assert caught.value.delay is not None
    assert abs(datetime.now(UTC) + caught.value.delay - ready_at) < timedelta(seconds=10)
    assert f"{ready_at:%Y-%m-%dT%H:%M:%S}Z" in str(caught.value)
    assert pulls.calls("bets")["accepted"] == 0
    assert not pulls.base.exists()


def test_provider_that_is_not_ready_says_so(pulls: Pulls) -> None:
    feed = feed_spec("jdb", "daily")
    start = today() + 4 * HOUR - DAY
    if start + DAY > datetime.now(UTC):
        start -= DAY
    config = replace(pulls.server.simulator.config, now=epoch_ms(start + 10 * HOUR))
    with simulator.serve(config) as earlier, pytest.raises(NotReady, match="8006") as caught:
        replace(pulls, server=earlier).result(pulls.plan(feed, Slice(start, start + DAY), lag=timedelta(0)))
    assert caught.value.delay == timedelta(minutes=30)


def test_slice_beyond_reach_names_the_oldest_date(pulls: Pulls) -> None:
    start = today() - 100 * DAY
    with pytest.raises(PastReach) as caught:
        pulls.result(pulls.plan(BETS, Slice(start, start + HOUR)))
    oldest = datetime.now(UTC) - 90 * DAY
    assert f"The oldest date to be had is {oldest + DAY:%Y-%m-%d}." in str(caught.value)
    assert "(90 days)" in str(caught.value)
    assert not caught.value.retryable
    assert pulls.calls("bets")["accepted"] == 0


def test_oldest_date_named_can_be_had(pulls: Pulls) -> None:
    start = (datetime.now(UTC) - 89 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    _, manifest = pulls.pull(pulls.plan(BETS, Slice(start, start + HOUR)))
    assert manifest.rows == len(pulls.truth(BETS, Slice(start, start + HOUR))) > 0


def test_slice_beyond_reach_is_taken_from_landing(pulls: Pulls) -> None:
    start = today() - 50 * DAY
    slice_ = Slice(start, start + HOUR)
    older, _ = pulls.pull(pulls.plan(BETS, slice_))
    newer, _ = pulls.pull(pulls.plan(BETS, slice_))
    calls = pulls.calls("bets")["accepted"]
    short = replace(BETS, reach=40 * DAY)
    assert older != newer
    assert pulls.result(pulls.plan(short, slice_)) == str(newer)
    assert pulls.calls("bets")["accepted"] == calls


def test_feed_without_a_stated_reach_is_always_asked(pulls: Pulls) -> None:
    start = today() - 200 * DAY
    _, manifest = pulls.pull(pulls.plan(feed_spec("lucko", "rebates"), Slice(start, start + DAY)))
    assert manifest.rows > 0


# -- what goes wrong on the way ---------------------------------------------------------------------------------


def quota_row(db: psycopg.Connection) -> tuple[Any, ...]:
    found = db.execute(
        "SELECT throttled, min_interval, next_free_at - clock_timestamp() FROM ops.quota WHERE endpoint = %s",
        (BETS.endpoint,),
    ).fetchone()
    assert found is not None
    return found


def test_throttled_call_waits_and_is_repeated(pulls: Pulls, db: psycopg.Connection) -> None:
    pulls.server.simulator.faults.add(FaultSpec(name="throttle", provider="lucko", next=2))
    _, manifest = pulls.pull(pulls.plan(BETS, bets_slice(), interval=timedelta(milliseconds=50)))
    assert manifest.rows == len(pulls.truth(BETS, bets_slice()))
    assert quota_row(db)[:2] == (2, timedelta(milliseconds=300))
    calls = pulls.calls("bets")
    assert (calls["throttled"], calls["accepted"]) == (2, 1)


def test_retry_after_is_obeyed(pulls: Pulls) -> None:
    pulls.server.simulator.faults.add(FaultSpec(name="http_429", provider="lucko", next=1, seconds=1))
    started = datetime.now(UTC)
    pulls.pull(pulls.plan(BETS, bets_slice()))
    assert datetime.now(UTC) - started >= timedelta(seconds=1)


@dataclass
class AskedToWait:
    """A caller whose provider asks for more patience than a worker should sleep."""

    merchant_id: str = "m1"
    calls: int = 0

    def prepare(self, feed: FeedSpec, window: Window, offset: int) -> None:
        pass

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        self.calls += 1
        raise Throttled("called too often.", delay=timedelta(minutes=10))


def test_long_retry_after_gives_the_worker_back(
    warehouse: URL, tmp_path: Path, clock: FixedClock, db: psycopg.Connection
) -> None:
    caller = AskedToWait()
    plan = PullPlan(feed=BETS, agent="a", slice=bets_slice(), options=FeedOptions(), interval=FAST, lag=BETS.lag)
    with PostgresQuota(warehouse, SystemClock()) as quota, pytest.raises(Throttled) as caught:
        SlicePuller(caller=caller, quota=quota, clock=clock, landing=tmp_path).pull(plan)
    assert caught.value.delay == timedelta(minutes=10)
    assert caller.calls == 1
    assert clock.slept == []
    assert timedelta(minutes=9) < quota_row(db)[2] <= timedelta(minutes=10)


def test_endless_throttling_ends(pulls: Pulls, db: psycopg.Connection) -> None:
    pulls.server.simulator.faults.add(FaultSpec(name="throttle", provider="lucko", probability=1.0))
    with pytest.raises(Throttled):
        pulls.result(pulls.plan(BETS, bets_slice(), interval=timedelta(milliseconds=10)))
    assert pulls.calls("bets")["throttled"] == MAX_CALL_TRIES
    assert quota_row(db)[0] == MAX_CALL_TRIES
    assert pulls.manifests() == []


@pytest.mark.parametrize("fault", ["bad_gateway", "truncated", "reset"])
def test_lost_call_is_repeated_with_backoff(pulls: Pulls, clock: FixedClock, fault: str) -> None:
    pulls.server.simulator.faults.add(FaultSpec(name=fault, provider="lucko", next=2))
    _, manifest = pulls.pull(pulls.plan(BETS, bets_slice()))
    assert manifest.rows == len(pulls.truth(BETS, bets_slice()))
    assert manifest.page_count == 1
    assert clock.slept == [1.0, 2.0]


def test_endless_losses_end(pulls: Pulls, clock: FixedClock) -> None:
    pulls.server.simulator.faults.add(FaultSpec(name="bad_gateway", provider="lucko", probability=1.0))
    with pytest.raises(Unreachable, match="HTTP 502"):
        pulls.result(pulls.plan(BETS, bets_slice()))
    assert clock.slept == [1.0, 2.0, 4.0]
    assert pulls.manifests() == []


def test_fatal_code_is_not_repeated(pulls: Pulls, clock: FixedClock) -> None:
    with pytest.raises(FatalError, match="600100"):
        pulls.result(pulls.plan(BETS, bets_slice()), pulls.hook(BETS, password="wrong"))
    assert pulls.calls("bets")["rejected"] == 1
    assert clock.slept == []
    assert pulls.manifests() == []


def test_token_that_ends_while_pulling_is_renewed(pulls: Pulls) -> None:
    feed = feed_spec("vertexplay", "betlogs")
    start, width = SLICES[feed.id]
    pulls.server.simulator.faults.add(FaultSpec(name="token_expired", next=1))
    _, manifest = pulls.pull(pulls.plan(feed, Slice(start, start + width)))
    assert manifest.rows == len(pulls.truth(feed, Slice(start, start + width)))
    assert pulls.calls("auth")["accepted"] == 2


# -- answers that may be cut off --------------------------------------------------------------------------------


def capped(pulls: Pulls, cap: int) -> tuple[Pulls, FeedSpec]:
    agents = tuple(
        replace(agent, row_cap=cap) if isinstance(agent, VertexPlayAgent) else agent
        for agent in pulls.server.simulator.config.agents
    )
    feed = replace(feed_spec("vertexplay", "betlogs"), row_cap=cap)
    running = RunningServer(replace(pulls.server.simulator.config, agents=agents, port=0))
    return replace(pulls, server=running), feed


def test_answer_at_the_cap_is_read_again_in_halves(pulls: Pulls) -> None:
    small, feed = capped(pulls, 4)
    start, width = SLICES[feed.id]
    slice_ = Slice(start, start + width)
    small.server.start()
    try:
        path, manifest = small.pull(small.plan(feed, slice_))
        truth = small.truth(feed, slice_)
    finally:
        small.server.stop()
    assert len(manifest.windows) > 6
    assert (manifest.windows[0].start, manifest.windows[-1].end) == (slice_.start, slice_.end)
    assert [w.end for w in manifest.windows[:-1]] == [w.start for w in manifest.windows[1:]]
    assert manifest.problem is None
    certificate = load_reading(pulls.warehouse, feed, path, path.parent)
    assert (certificate.state, certificate.distinct_keys) == ("certified", len(truth))


def test_single_millisecond_at_the_cap_is_suspect(pulls: Pulls) -> None:
    small, feed = capped(pulls, 1)
    start, _ = SLICES[feed.id]  # the first bet of every hour sits on its first millisecond
    small.server.start()
    try:
        path, manifest = small.pull(small.plan(feed, Slice(start, start + timedelta(milliseconds=4))))
    finally:
        small.server.stop()
    assert manifest.problem == "an answer for a single millisecond holds 1 rows or more and may be cut off"
    with pytest.raises(SuspectReading, match="may be cut off"):
        load_reading(pulls.warehouse, feed, path, path.parent)


# -- the provider's own quota -----------------------------------------------------------------------------------


def test_several_workers_keep_the_providers_quota(pulls: Pulls) -> None:
    config = replace(pulls.server.simulator.config, quota_scale=0.02)  # bets: one call per 0.1 s
    interval = timedelta(seconds=0.4)  # far enough apart for a busy machine
    found: list[tuple[Path, Manifest]] = []
    hours = [Slice(bets_slice().start + n * HOUR, bets_slice().start + (n + 1) * HOUR) for n in range(3)]

    with simulator.serve(config) as strict:
        worker = replace(pulls, server=strict)
        truth = [len(worker.truth(BETS, hour)) for hour in hours]
        plans = [worker.plan(replace(BETS, page_size=40), hour, interval=interval) for hour in hours]
        threads = [threading.Thread(target=lambda plan=plan: found.append(worker.pull(plan))) for plan in plans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        calls = worker.calls("bets")
    assert sorted(manifest.rows for _, manifest in found) == sorted(truth)
    granted = sorted(page.requested_at for _, manifest in found for _, page in manifest.pages())
    assert len(granted) == calls["accepted"] >= 3
    assert all(later - earlier >= interval for earlier, later in pairwise(granted))
    assert calls["throttled"] == 0


def test_waiting_for_a_token_does_not_crowd_the_calls(pulls: Pulls) -> None:
    config = replace(pulls.server.simulator.config, quota_scale=0.05)  # betlogs: one call per 0.15 s
    feed = feed_spec("vertexplay", "betlogs")
    start, _ = SLICES[feed.id]
    token = QuotaKey(provider="vertexplay", endpoint="/v2/auth", merchant_id="vertexplaydemo")
    with PostgresQuota(pulls.warehouse, SystemClock()) as quota:
        quota.push_back(token, timedelta(seconds=0.8))
    with simulator.serve(config) as strict:
        worker = replace(pulls, server=strict)
        worker.truth(feed, Slice(start, start + HOUR))
        worker.pull(worker.plan(feed, Slice(start, start + timedelta(minutes=30)), interval=timedelta(seconds=0.4)))
        calls = worker.calls("betlogs")
    assert (calls["accepted"], calls["throttled"]) == (3, 0)
