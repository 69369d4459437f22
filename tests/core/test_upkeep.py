"""Revisits, repairs and replays over real calls, a real ledger and real landing files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from book import DAY, HOUR, MINUTE
from kit import FixedClock, simulated
from sqlalchemy import URL

import simulator
from simulator import RunningServer, SimConfig
from tieout import upkeep
from tieout.core.clock import Clock, SystemClock, epoch_ms
from tieout.core.coverage import due_revisits
from tieout.core.errors import ContractBroken, FatalError, PastReach, RetryLater, Unreachable
from tieout.core.feed import FeedSpec
from tieout.core.landing import read_manifest
from tieout.core.slices import Slice, Window
from tieout.feeds import AgentFeed, parse_agents
from tieout.ingest import Hook, Ingest
from tieout.providers.base import ProviderHook

AGENTS = """
agents:
  - {provider: lucko, agent: acme, conn_id: c, start: 2020-01-01,
     feeds: {bets: {interval: 0.001s}, rebates: {interval: 0.001s}}}
  - {provider: hotroad, agent: acme, conn_id: c, start: 2020-01-01, currency: CNY, feeds: {summary: {interval: 0.001s}}}
  - {provider: vertexplay, agent: acme, conn_id: c, start: 2020-01-01, feeds: {betlogs: {interval: 0.001s}}}
  - {provider: jdb, agent: acme, conn_id: c, start: 2020-01-01, currency: RMB, g_types: ["0", "7"],
     feeds: {daily: {interval: 0.001s}}}
"""
FEEDS = {(feed.spec.provider, feed.spec.name): feed for agent in parse_agents(AGENTS) for feed in agent.feeds}
BETS = FEEDS["lucko", "bets"]
#: Changes that leave a row in its slice; what moves to a later slice is found there.
RESTATED = {
    ("lucko", "bets"): ["resettled_quietly"],
    ("lucko", "rebates"): ["recovered"],
    ("hotroad", "summary"): ["restated"],
    ("vertexplay", "betlogs"): ["resettled_quietly"],
    ("jdb", "daily"): ["restated"],
}
#: Two days ago: over for longer than every age of a bet, and for longer than any slice takes to settle.
BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 2 * DAY
SETTLED = timedelta(0)


def hour(number: int, hours: int = 1) -> Slice:
    return Slice(BEGIN + number * HOUR, BEGIN + (number + hours) * HOUR)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A simulator without quotas whose world stands two hours ago."""
    now = epoch_ms(datetime.now(UTC) - 2 * HOUR)
    with simulator.serve(SimConfig(seed=5, quota_scale=0, now=now)) as running:
        running.simulator.clock.freeze(at=now)
        yield running


@dataclass
class Meddled:
    """A hook whose calls can be watched, answered otherwise or refused; what is not meddled with is the real one's."""

    real: ProviderHook
    before: Callable[[Window], None] = lambda window: None
    answer: Callable[[Window, bytes], bytes] = lambda window, body: body
    windows: list[Window] = field(default_factory=list)

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        self.windows.append(window)
        self.before(window)
        return self.answer(window, self.real.fetch(feed, window, offset))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@dataclass
class Site:
    """One warehouse, one landing base, one simulator."""

    server: RunningServer
    url: URL
    base: Path
    db: psycopg.Connection
    hooks: list[Meddled] = field(default_factory=list)
    before: Callable[[Window], None] = lambda window: None
    answer: Callable[[Window, bytes], bytes] = lambda window, body: body

    def ingest(self, clock: Clock | None = None) -> Ingest:
        def hook_for(declared: AgentFeed, clock: Clock) -> Hook:
            real = simulated(self.server, declared.spec.provider, clock=SystemClock())
            self.hooks.append(Meddled(real, lambda w: self.before(w), lambda w, body: self.answer(w, body)))
            return self.hooks[-1]  # type: ignore[return-value]

        return Ingest(url=self.url, landing=self.base, clock=clock or SystemClock(), hook_for=hook_for)

    def first(self, feed: AgentFeed, *slices: Slice, known: bool = True) -> None:
        """Pull and load slices as an ordinary run does; unless *known*, the ledger has them read at their end."""
        ingest = self.ingest()
        for slice_ in slices:
            ingest.load(feed.spec, ingest.pull(feed, slice_, kind="first"))
        if not known:
            self.db.execute("UPDATE ops.readings SET pulled_at = slice_end, finished_at = slice_end")

    def calls(self) -> int:
        return sum(row["accepted"] for row in self.server.simulator.ledger.report())

    def readings(self, *columns: str) -> list[tuple[Any, ...]]:
        return self.db.execute(
            f"SELECT {', '.join(columns)} FROM ops.readings ORDER BY slice_start, pulled_at, reading_id".encode()
        ).fetchall()

    def truth(self, feed: AgentFeed, slice_: Slice) -> set[str]:
        name, merchant = f"{feed.spec.provider}_{feed.spec.name}", f"{feed.spec.provider}demo"
        rows = self.server.world.rows(name, merchant, epoch_ms(slice_.start), epoch_ms(slice_.end))
        return {json.dumps(row, sort_keys=True, default=str) for row in rows}

    def stored(self, feed: AgentFeed, *, without: tuple[str, ...] = ("load_id",)) -> list[dict[str, Any]]:
        table = feed.spec.table.name
        return [
            row
            for (row,) in self.db.execute(
                f"SELECT to_jsonb(t) - %s::text[] AS row FROM staging.{table} AS t ORDER BY 1".encode(),
                (list(without),),
            ).fetchall()
        ]


@pytest.fixture
def site(server: RunningServer, warehouse: URL, tmp_path: Path, db: psycopg.Connection) -> Site:
    return Site(server, warehouse, tmp_path / "landing", db)


# -- pull and load ------------------------------------------------------------------------------------------------


def test_a_pull_declares_lands_and_records_and_a_load_certifies(site: Site) -> None:
    ingest = site.ingest()
    path = ingest.pull(BETS, hour(0), kind="backfill")
    assert isinstance(path, str)
    assert site.readings("state", "kind", "landing_uri") == [("landed", "backfill", path)]
    assert site.db.execute("SELECT provider, feed, agent, merchant_id FROM ops.agents").fetchall() == [
        ("lucko", "bets", "acme", None)
    ]
    certificate = ingest.load(BETS.spec, path)
    assert certificate.inserted == len(site.truth(BETS, hour(0))) > 0
    assert site.readings("state", "kind") == [("certified", "backfill")]


def test_a_hook_is_asked_for_once_so_that_its_token_lasts(site: Site) -> None:
    feed, ingest = FEEDS["vertexplay", "betlogs"], site.ingest()
    before = site.calls()
    for number in (0, 1):
        ingest.pull(feed, hour(number), kind="first")
    assert len(site.hooks) == 1
    # Six windows each, and one token.
    assert site.calls() == before + 13


def test_landing_base_may_have_moved(site: Site, tmp_path: Path) -> None:
    path = site.ingest().pull(BETS, hour(0), kind="first")
    site.base = site.base.rename(tmp_path / "elsewhere")
    assert site.ingest().load(BETS.spec, path).state == "certified"


def test_a_claim_is_free_for_one_at_a_time(site: Site) -> None:
    first, second = site.ingest(), site.ingest()
    with (
        first.claim(BETS, hour(0)) as mine,
        second.claim(BETS, hour(0)) as theirs,
        second.claim(BETS, hour(1)) as other,
    ):
        assert (mine, theirs, other) == (True, False, True)
    with second.claim(BETS, hour(0)) as later:
        assert later


def test_beyond_reach_narrower_readings_of_landing_are_loaded_together(site: Site) -> None:
    ingest, slice_ = site.ingest(), hour(0)
    pieces = list(slice_.split(20 * MINUTE))
    paths = [ingest.pull(BETS, piece, kind="first") for piece in pieces]
    short = replace(BETS, spec=replace(BETS.spec, reach=DAY))
    calls = site.calls()
    landed = ingest.pull(short, slice_, kind="backfill")
    assert landed == paths
    certificate = ingest.load(short.spec, landed)
    assert (certificate.slice_start, certificate.slice_end) == (slice_.start, slice_.end)
    assert certificate.inserted == len(site.truth(BETS, slice_))
    assert site.calls() == calls
    row = site.db.execute("SELECT status FROM ops.slice_status WHERE slice_start = %s", (slice_.start,)).fetchone()
    assert row == ("certified",)
    with pytest.raises(PastReach, match="landing lacks") as caught:
        ingest.pull(short, hour(0, 2), kind="backfill")
    assert str(hour(1)) in str(caught.value)
    assert "The oldest date to be had is" in str(caught.value)


# -- repairs ------------------------------------------------------------------------------------------------------


def repair(site: Site, feed: AgentFeed = BETS, range_: Slice | None = None, **keys: Any) -> dict[str, int]:
    return upkeep.repair(site.ingest(), feed, range_ or hour(0, 24), **{"settle": SETTLED, **keys})


def test_a_hole_is_read_and_certified(site: Site) -> None:
    site.first(BETS, hour(0), hour(3))
    calls = site.calls()
    counts = repair(site)
    assert (counts["wanted"], counts["slices"], counts["loaded"], counts["skipped"]) == (2, 2, 0, 0)
    assert site.calls() == calls + 2
    assert site.readings("state", "kind") == [("certified", kind) for kind in ("first", "repair", "repair", "first")]
    assert len(site.stored(BETS)) == len(site.truth(BETS, hour(0, 4)))
    assert repair(site)["wanted"] == 0


def test_what_was_landed_is_loaded_without_a_call(site: Site) -> None:
    site.ingest().pull(BETS, hour(0), kind="first")
    site.db.execute("UPDATE ops.readings SET finished_at = finished_at - interval '1 hour'")
    calls = site.calls()
    counts = repair(site)
    assert (counts["loaded"], counts["slices"]) == (1, 1)
    assert site.calls() == calls
    assert site.readings("state", "kind") == [("certified", "first")]


def test_what_was_landed_and_is_damaged_is_read_again(site: Site) -> None:
    path = Path(str(site.ingest().pull(BETS, hour(0), kind="first")))
    site.db.execute("UPDATE ops.readings SET finished_at = finished_at - interval '1 hour'")
    next(path.parent.glob("page-*")).write_bytes(b"torn")
    counts = repair(site)
    assert (counts["loaded"], counts["slices"]) == (0, 1)
    assert site.readings("state", "kind") == [("landed", "first"), ("certified", "repair")]


def test_a_slice_that_is_certified_meanwhile_is_not_read_again(site: Site) -> None:
    site.first(BETS, hour(0), hour(3))
    other = site.ingest()

    def meanwhile(window: Window) -> None:
        if window.range == hour(1):
            site.before = lambda window: None
            other.load(BETS.spec, other.pull(BETS, hour(2), kind="first"))

    site.before = meanwhile
    counts = repair(site)
    assert (counts["wanted"], counts["slices"], counts["skipped"]) == (2, 1, 1)
    assert site.readings("kind") == [("first",), ("repair",), ("first",), ("first",)]


def test_a_slice_that_another_task_is_reading_is_left_to_it(site: Site) -> None:
    site.first(BETS, hour(0), hour(3))
    with site.ingest().claim(BETS, hour(2)):
        counts = repair(site)
    assert (counts["slices"], counts["skipped"]) == (1, 1)
    assert repair(site)["slices"] == 1


def test_a_bad_slice_does_not_stop_its_batch_and_is_named(site: Site) -> None:
    site.first(BETS, hour(0), hour(4))

    def refuse(window: Window) -> None:
        if window.range == hour(2):
            raise ContractBroken("Lucko answered something else.")

    site.before = refuse
    with pytest.raises(FatalError) as caught:
        repair(site)
    assert str(hour(2)) in str(caught.value)
    assert "1 of 3 piece(s) of repairs of lucko bets agent=acme failed" in str(caught.value)
    assert [start for start, kind in site.readings("slice_start", "kind") if kind == "repair"] == [
        hour(1).start, hour(3).start,
    ]  # fmt: skip


def test_a_provider_that_is_down_costs_three_slices_and_a_retry(site: Site) -> None:
    site.first(BETS, hour(0), hour(9))

    def refuse(window: Window) -> None:
        raise Unreachable("Lucko does not answer.", delay=10 * MINUTE)

    site.before = refuse
    with pytest.raises(RetryLater) as caught:
        repair(site)
    assert caught.value.delay == 10 * MINUTE
    assert [window.range for window in site.hooks[-1].windows] == [hour(1), hour(2), hour(3)]


def test_a_suspect_slice_is_read_again_and_may_be_certified(site: Site) -> None:
    site.answer = lambda window, body: body.replace(b'"total":', b'"total":1', 1)
    with pytest.raises(FatalError, match="distinct keys came"):
        site.first(BETS, hour(0))
    site.answer = lambda window, body: body
    assert repair(site)["wanted"] == 0
    site.db.execute("UPDATE ops.readings SET finished_at = finished_at - interval '61 minutes'")
    assert repair(site)["slices"] == 1
    assert site.readings("state", "kind") == [("suspect", "first"), ("certified", "repair")]


# -- revisits -----------------------------------------------------------------------------------------------------


def unsettled(window: Window, body: bytes) -> bytes:
    """What the provider said before it settled the bets, without a new update_time: only a revisit sees that."""
    return body.replace(b'"status":1', b'"status":0')


def test_a_revisit_joins_slices_in_one_reading_and_certifies_each(site: Site) -> None:
    site.answer = unsettled
    site.first(BETS, hour(0), hour(1), hour(2), hour(5), known=False)
    site.answer = lambda window, body: body
    before, calls = {row["id"]: row for row in site.stored(BETS)}, site.calls()
    counts = upkeep.revisit(site.ingest(), BETS)
    assert (counts["due"], counts["ranges"], counts["slices"], counts["left"]) == (4, 2, 4, 0)
    assert site.calls() == calls + 2
    revisits = [row for row in site.readings("kind", "state", "slice_start", "reading_id") if row[0] == "revisit"]
    assert [(state, start) for _, state, start, _ in revisits] == [
        ("certified", hour(number).start) for number in (0, 1, 2, 5)
    ]
    assert len({reading_id for *_, reading_id in revisits}) == 2
    after = {row["id"]: row for row in site.stored(BETS)}
    restated = [key for key in before if after[key]["status"] != before[key]["status"]]
    assert counts["updated"] == len(restated) > 0
    assert set(after) == set(before)
    assert due_revisits(site.db, BETS) == []


def test_a_revisit_that_changes_nothing_writes_nothing_but_its_certificate(site: Site) -> None:
    site.first(BETS, hour(0), hour(1), known=False)
    before = site.db.execute("SELECT xmin::text, ctid::text, * FROM staging.lucko_bets ORDER BY id").fetchall()
    versions = site.db.execute("SELECT count(*) FROM staging.lucko_bet_versions").fetchone()
    counts = upkeep.revisit(site.ingest(), BETS)
    assert (counts["slices"], counts["inserted"], counts["updated"]) == (2, 0, 0)
    assert site.db.execute("SELECT xmin::text, ctid::text, * FROM staging.lucko_bets ORDER BY id").fetchall() == before
    assert site.db.execute("SELECT count(*) FROM staging.lucko_bet_versions").fetchone() == versions
    unchanged = site.db.execute("SELECT sum(unchanged) FROM ops.readings WHERE kind = 'revisit'").fetchone()
    assert unchanged == (len(before),)


@pytest.mark.parametrize(
    ("name", "slices"),
    [
        (("lucko", "bets"), [hour(number) for number in (-48, -47, -46)]),
        (("lucko", "rebates"), [hour(number) for number in (-48, -47, -46)]),
        (("hotroad", "summary"), [hour(number) for number in (-48, -47, -46)]),
        (("vertexplay", "betlogs"), [hour(number) for number in (-48, -47, -46)]),
        (("jdb", "daily"), [hour(-6 * 24 + 4, 24), hour(-5 * 24 + 4, 24)]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_after_a_revisit_staging_is_what_a_first_reading_would_find_now(
    site: Site, name: tuple[str, str], slices: list[Slice]
) -> None:
    feed = FEEDS[name]
    site.first(feed, *slices, known=False)
    before, provenance = len(site.stored(feed)), ("agent", "load_id", "reading_id", "first_seen_at", "last_changed_at")
    assert before
    requests.post(
        f"{site.server.url}/_sim/world/change",
        json={
            "feed": "_".join(name), "agent": f"{name[0]}demo", "share": 0.3, "kinds": RESTATED[name],
            "from": epoch_ms(slices[0].start), "to": epoch_ms(slices[-1].end), "at": epoch_ms(slices[-1].end) + 1,
        },
        timeout=30,
    ).raise_for_status()  # fmt: skip
    counts = upkeep.revisit(site.ingest(), feed)
    assert counts["slices"] == len(slices)
    assert counts["updated"] > 0
    assert due_revisits(site.db, feed) == []
    revisited = [row for row in site.stored(feed, without=(*provenance, "retired_at"))]
    site.db.execute(f"DELETE FROM staging.{feed.spec.table.name}".encode())
    fresh = replace(feed, agent="fresh")
    site.first(fresh, *slices)
    assert site.stored(fresh, without=(*provenance, "retired_at")) == revisited


def test_a_run_ends_when_its_time_is_used_and_the_rest_stays_due(site: Site) -> None:
    site.first(BETS, hour(0), hour(2), hour(4), known=False)
    counts = upkeep.revisit(site.ingest(FixedClock()), BETS, budget=timedelta(0))
    assert (counts["ranges"], counts["left"]) == (1, 2)
    assert due_revisits(site.db, BETS) == [hour(2), hour(4)]
    assert upkeep.revisit(site.ingest(), BETS)["ranges"] == 2


def test_a_suspect_range_does_not_stop_the_others(site: Site) -> None:
    site.first(BETS, hour(0), hour(2), hour(4), known=False)
    site.answer = lambda window, body: body.replace(b'"total":', b'"total":1', 1) if window.range == hour(2) else body
    with pytest.raises(FatalError) as caught:
        upkeep.revisit(site.ingest(), BETS)
    assert f"1 of 3 piece(s) of revisits of lucko bets agent=acme failed: {hour(2)}" in str(caught.value)
    assert [row for row in site.readings("kind", "state") if row[0] == "revisit"] == [
        ("revisit", "certified"), ("revisit", "suspect"), ("revisit", "certified"),
    ]  # fmt: skip
    # The certificate stands; the slice waits for its pause.
    row = site.db.execute("SELECT status FROM ops.slice_status WHERE slice_start = %s", (hour(2).start,)).fetchone()
    assert row == ("certified",)
    assert due_revisits(site.db, BETS) == []


# -- replays ------------------------------------------------------------------------------------------------------


def empty(site: Site) -> None:
    """Lose the warehouse's contents: rows and ledger."""
    for schema, table in site.db.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('staging', 'ops')"
    ).fetchall():
        site.db.execute(f"DELETE FROM {schema}.{table}".encode())


def test_a_replay_into_an_empty_warehouse_gives_the_same_rows(site: Site) -> None:
    site.answer = unsettled
    site.first(BETS, *(hour(number) for number in range(4)), known=False)
    site.answer = lambda window, body: body
    assert upkeep.revisit(site.ingest(), BETS)["updated"] > 0
    rows, calls = site.stored(BETS), site.calls()
    readings = sorted(site.readings("reading_id", "slice_start", "state", "rows"))
    versions = site.db.execute("SELECT count(*) FROM staging.lucko_bet_versions").fetchone()
    empty(site)
    counts = upkeep.replay(site.ingest(), BETS.spec, "acme", hour(0, 24), first=hour(0).start)
    assert (counts["readings"], counts["certified"], counts["suspect"]) == (5, 5, 0)
    assert site.stored(BETS) == rows
    assert site.db.execute("SELECT count(*) FROM staging.lucko_bet_versions").fetchone() == versions > (len(rows),)
    assert sorted(site.readings("reading_id", "slice_start", "state", "rows")) == readings
    assert {kind for (kind,) in site.readings("kind")} == {"replay"}
    assert site.calls() == calls


def test_a_replay_brings_lost_rows_back_although_the_ledger_knows_its_readings(site: Site) -> None:
    site.first(BETS, hour(0), hour(1))
    rows = site.stored(BETS)
    site.db.execute("DELETE FROM staging.lucko_bets")
    counts = upkeep.replay(site.ingest(), BETS.spec, "acme", hour(0, 2), first=hour(0).start)
    assert counts["inserted"] == len(rows) > 0
    assert site.stored(BETS) == rows


def test_what_is_certified_can_be_left_out(site: Site) -> None:
    site.first(BETS, hour(0), hour(1))
    site.ingest().pull(BETS, hour(2), kind="first")
    asked = {"first": hour(0).start, "only_uncertified": True}
    counts = upkeep.replay(site.ingest(), BETS.spec, "acme", hour(0, 24), **asked)  # type: ignore[arg-type]
    assert (counts["readings"], counts["certified"]) == (1, 1)
    assert site.readings("state", "kind") == [("certified", "first")] * 3


def test_a_damaged_reading_does_not_stop_a_replay_and_is_named(site: Site) -> None:
    site.first(BETS, hour(0), hour(1), hour(2))
    manifests = sorted(site.base.rglob("manifest.json"))
    next(manifests[1].parent.glob("page-*")).unlink()
    empty(site)
    with pytest.raises(FatalError) as caught:
        upkeep.replay(site.ingest(), BETS.spec, "acme", hour(0, 24), first=hour(0).start)
    assert read_manifest(manifests[1]).reading_id in str(caught.value)
    assert [start for (start,) in site.readings("slice_start")] == [hour(0).start, hour(2).start]


def test_a_suspect_reading_is_replayed_as_what_it_is(site: Site) -> None:
    site.answer = lambda window, body: body.replace(b'"total":', b'"total":1', 1)
    with pytest.raises(FatalError):
        site.first(BETS, hour(0))
    empty(site)
    counts = upkeep.replay(site.ingest(), BETS.spec, "acme", hour(0, 24), first=hour(0).start)
    assert (counts["readings"], counts["certified"], counts["suspect"]) == (1, 0, 1)
    assert site.readings("state", "kind") == [("suspect", "replay")]
    assert len(site.stored(BETS)) == len(site.truth(BETS, hour(0)))
