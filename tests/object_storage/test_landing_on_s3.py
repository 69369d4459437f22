"""Landing on an object store: pulls, loads, replays and statements against a server that speaks S3."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk import ObjectStoragePath
from sqlalchemy import URL

import simulator
from demo.processes import free_port
from demo.simulated import as_connection
from object_store import CONN_ID, SECRET, Store
from simulator import RunningServer, SimConfig
from simulator.connections import connections
from tieout import upkeep
from tieout.core import storage
from tieout.core.clock import Clock, SystemClock, epoch_ms
from tieout.core.errors import FatalError, Unreachable
from tieout.core.landing import (
    Manifest,
    ReadingWriter,
    WindowEntry,
    landed_readings,
    new_reading_id,
    read_manifest,
    slice_folder,
)
from tieout.core.recon.statement import StatementOf, write_statement
from tieout.core.slices import Slice
from tieout.feeds import AgentFeed, parse_agents
from tieout.ingest import Hook, Ingest
from tieout.operators.base import new_ingest
from tieout.providers import HOOKS

HOUR = timedelta(hours=1)
BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
AGENTS = """
agents:
  - {provider: lucko, agent: acme, conn_id: c, start: 2020-01-01, feeds: {bets: {interval: 0.001s}}}
  - {provider: jdb, agent: acme, conn_id: c, start: 2020-01-01, currency: RMB, g_types: ["0", "7"],
     feeds: {daily: {interval: 0.001s}}}
"""
FEEDS = {(feed.spec.provider, feed.spec.name): feed for agent in parse_agents(AGENTS) for feed in agent.feeds}
BETS = FEEDS["lucko", "bets"]


def hour(number: int, hours: int = 1) -> Slice:
    return Slice(BEGIN + number * HOUR, BEGIN + (number + hours) * HOUR)


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningServer]:
    """A simulator without quotas."""
    with simulator.serve(SimConfig(seed=5, quota_scale=0, now=epoch_ms(datetime.now(UTC) - 2 * HOUR))) as running:
        yield running


def ingest_to(base: Any, url: URL, provider: RunningServer) -> Ingest:
    def hook_for(declared: AgentFeed, clock: Clock) -> Hook:
        known = connections(provider.simulator.config, url=provider.url)
        fields = next(one for one in known.values() if one["conn_type"] == declared.spec.provider)
        return HOOKS[declared.spec.provider]("c", connection=as_connection("c", fields), clock=clock)

    return Ingest(url=url, landing=base, clock=SystemClock(), hook_for=hook_for)


def staged(db: psycopg.Connection, table: str) -> list[Any]:
    """The rows of a staging table but for what names a reading or a moment."""
    ignored = ["load_id", "reading_id", "first_seen_at", "last_changed_at"]
    return db.execute(
        f"SELECT to_jsonb(t) - %s::text[] FROM staging.{table} AS t ORDER BY 1".encode(), (ignored,)
    ).fetchall()


@pytest.mark.parametrize("feed", FEEDS.values(), ids=lambda feed: feed.dag_id)
def test_a_slice_is_pulled_and_loaded_as_from_a_folder(
    s3: Store, warehouse: URL, db: psycopg.Connection, provider: RunningServer, tmp_path: Path, feed: AgentFeed
) -> None:
    slice_ = hour(2) if feed is BETS else Slice(BEGIN - 20 * HOUR, BEGIN + 4 * HOUR)
    table = feed.spec.table.name
    here = ingest_to(tmp_path, warehouse, provider)
    here.load(feed.spec, here.pull(feed, slice_, kind="first"))
    expected = staged(db, table)
    assert len(expected) > 5
    db.execute(f"TRUNCATE staging.{table}, ops.readings CASCADE".encode())
    there = ingest_to(s3.base, warehouse, provider)
    path = there.pull(feed, slice_, kind="first")
    assert path == f"s3://{CONN_ID}@{s3.bucket}/" + next(
        key for key in s3.stored_keys() if key.endswith("manifest.json")
    )
    certificate = there.load(feed.spec, path)
    assert (certificate.rows, staged(db, table)) == (len(expected), expected)
    assert db.execute("SELECT state, landing_uri FROM ops.readings").fetchall() == [("certified", path)]


def test_operators_reach_the_store_through_airflows_connection(s3: Store, warehouse: URL, provider: RunningServer,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """What an operator makes of TIEOUT_LANDING finds what was landed, also by the URI that XCom and the ledger hold."""
    fields = {"conn_type": "postgres", "host": str(warehouse.query["host"]), "login": "postgres",
              "schema": warehouse.database}  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_TIEOUT_WAREHOUSE", json.dumps(fields))
    uri = ingest_to(s3.base, warehouse, provider).pull(BETS, hour(3), kind="first")
    ingest = new_ingest(f"s3://{CONN_ID}@{s3.bucket}/tieout")
    assert ingest.load(BETS.spec, uri).rows > 0
    assert read_manifest(ObjectStoragePath(str(uri))).slice == hour(3)


def test_an_empty_warehouse_is_filled_from_the_store(
    s3: Store, warehouse: URL, db: psycopg.Connection, provider: RunningServer
) -> None:
    ingest = ingest_to(s3.base, warehouse, provider)
    for number in (4, 5, 6):
        ingest.load(BETS.spec, ingest.pull(BETS, hour(number), kind="first"))
    before = staged(db, "lucko_bets")
    db.execute("TRUNCATE staging.lucko_bets, staging.lucko_bet_versions, ops.readings, ops.loads CASCADE")
    counts = upkeep.replay(ingest, BETS.spec, "acme", hour(0, 24), first=hour(0).start)
    assert (counts["readings"], counts["certified"]) == (3, 3)
    assert staged(db, "lucko_bets") == before


# -- what differs from a folder -------------------------------------------------------------------------------------


def land(base: Any, slice_: Slice, *, pages: int = 3, finish: bool = True) -> str:
    writer = ReadingWriter(
        slice_folder(base, provider="lucko", feed="bets", agent="acme", slice_=slice_), new_reading_id(slice_.end)
    )
    now = slice_.end
    entries = [writer.write_page(b'{"n": %d}' % n, rows=1, total=None, requested_at=now) for n in range(pages)]
    window = WindowEntry(start=slice_.start, end=slice_.end, params={}, attempts=1, settled=True, pages=entries)
    manifest = Manifest(
        reading_id=writer.reading_id, provider="lucko", feed="bets", agent="acme", merchant_id="m1",
        slice_start=slice_.start, slice_end=slice_.end, kind="first", options={}, windows=[window],
        pulled_at=now, finished_at=now, problem=None, tieout_version="1",
    )  # fmt: skip
    return writer.write_manifest(manifest) if finish else ""


def found(base: Any, range_: Slice) -> list[Slice]:
    readings = landed_readings(base, provider="lucko", feed="bets", agent="acme", range_=range_)
    return [reading.range for reading in readings]


def test_what_others_have_landed_since_is_seen(s3: Store, tmp_path: Path) -> None:
    """A client of an object store remembers listings: another worker's reading would stay unseen for its lifetime."""
    land(s3.base, hour(1))
    assert found(s3.base, hour(0, 24)) == [hour(1)]
    land(tmp_path, hour(2))
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        key = f"tieout/{file.relative_to(tmp_path).as_posix()}"
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=file.read_bytes())
    assert found(s3.base, hour(0, 24)) == [hour(1), hour(2)]


def test_a_reading_costs_a_request_for_each_file(s3: Store) -> None:
    path = land(s3.base, hour(1), pages=3)
    assert s3.requests.count() == {"PUT": 4}
    read_manifest(ObjectStoragePath(path))
    # The client asks for the size before it reads.
    assert s3.requests.count() == {"HEAD": 1, "GET": 1}


def test_a_days_readings_are_found_by_one_listing(s3: Store) -> None:
    for number in range(24):
        land(s3.base, hour(number), pages=4)
    s3.requests.count()
    assert len(found(s3.base, hour(0, 24))) == 24
    # The day before is looked at too (a joined range may begin there); that it is empty the client asks in other ways.
    assert sum(s3.requests.count().values()) <= 4


def test_listings_longer_than_one_answer_are_followed(s3: Store) -> None:
    for number in range(3):
        land(s3.base, hour(number), pages=400)
    assert len(s3.stored_keys()) > 1000
    assert found(s3.base, hour(0, 24)) == [hour(0), hour(1), hour(2)]


def test_without_a_manifest_there_is_no_reading(s3: Store) -> None:
    land(s3.base, hour(1), finish=False)
    assert len(s3.stored_keys()) == 3
    assert found(s3.base, hour(0, 24)) == []


def test_an_absent_object_is_gone_not_busy(s3: Store) -> None:
    with pytest.raises(FatalError, match="no manifest at"):
        read_manifest(s3.base / "nothing" / "manifest.json")


def test_a_bucket_that_is_not_there_is_not_made(s3: Store) -> None:
    elsewhere: Any = ObjectStoragePath(f"s3://{CONN_ID}@{s3.bucket}-misspelt/tieout")
    with pytest.raises(Unreachable, match=r"cannot write page-00001.*TIEOUT_LANDING"):
        land(elsewhere, hour(1))
    assert [bucket["Name"] for bucket in s3.client.list_buckets()["Buckets"]].count(s3.bucket) == 1
    assert not [one for one in s3.client.list_buckets()["Buckets"] if one["Name"].endswith("misspelt")]


def test_a_store_that_does_not_answer_is_asked_again_later(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client's errors are no OSErrors; they must not look like a bug of ours."""
    fields = json.loads(os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"])
    fields["extra"]["endpoint_url"] = f"http://127.0.0.1:{free_port()}"
    fields["extra"]["config_kwargs"] = {"retries": {"max_attempts": 1}, "connect_timeout": 1}
    monkeypatch.setenv("AIRFLOW_CONN_LANDING_AWAY", json.dumps(fields))
    away: Any = ObjectStoragePath(f"s3://landing_away@{s3.bucket}/tieout")
    for attempt in (
        lambda: land(away, hour(1)),
        lambda: read_manifest(away / "manifest.json"),
        lambda: found(away, hour(0, 24)),
    ):
        with pytest.raises(Unreachable, match="EndpointConnectionError") as refused:
            attempt()
        assert SECRET not in str(refused.value)


def test_statements_are_written_and_left_alone_when_nothing_changed(s3: Store, warehouse: URL) -> None:
    of = StatementOf(provider="lucko", agent="acme", day=date(2026, 3, 1), timezone="UTC")
    paths = write_statement(warehouse, of, s3.base)
    assert [path.rsplit("/", 1)[-1] for path in paths] == ["2026-03-01.html", "2026-03-01.csv"]
    assert [key.rsplit("/", 1)[-1] for key in s3.stored_keys()] == ["2026-03-01.csv", "2026-03-01.html"]
    assert b"<html" in storage.read(ObjectStoragePath(paths[0]))  # type: ignore[arg-type]
    s3.requests.count()
    assert write_statement(warehouse, of, s3.base) == paths
    assert s3.requests.count() == {"HEAD": 2, "GET": 2}


def test_no_secret_of_the_store_is_landed_or_recorded(
    s3: Store, warehouse: URL, db: psycopg.Connection, provider: RunningServer
) -> None:
    uri = str(ingest_to(s3.base, warehouse, provider).pull(BETS, hour(7), kind="first"))
    assert SECRET not in uri
    for key in s3.stored_keys():
        body = s3.client.get_object(Bucket=s3.bucket, Key=key)["Body"].read()
        assert SECRET.encode() not in body
    assert SECRET not in str(db.execute("SELECT to_jsonb(r) FROM ops.readings AS r").fetchall())
