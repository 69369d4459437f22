"""The operators of repair, replay and monitor, executed as a worker executes them, on a real warehouse."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from readings import Reading
from tieout.core.errors import ConfigError, FatalError, SuspectReading
from tieout.operators import (
    LoadSliceOperator,
    PlanRepairOperator,
    PlanReplayOperator,
    RecordLostOperator,
    RepairBatchOperator,
    ReplayBatchOperator,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FEEDS = """
agents:
  - {{provider: hotroad, agent: acme, conn_id: hotroad_acme, start: "{start}", currency: USD}}
  - {{provider: lucko, agent: acme, conn_id: lucko_acme, start: "{start}"}}
"""
NOTHING = {name: None for name in ("provider", "agent", "feed", "from", "to")}
REPAIR = {**NOTHING, "everything": False, "dry_run": False}


@dataclass
class TaskInstance:
    """Takes what a task pushes besides its return value."""

    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        # What does not survive JSON cannot be an XCom.
        self.pushed[key] = json.loads(json.dumps(value))


@dataclass
class Worker:
    """What a task of Airflow finds on its worker."""

    top: datetime
    landing: str
    ti: TaskInstance = field(default_factory=TaskInstance)

    def hour(self, number: int) -> datetime:
        return self.top - number * HOUR

    def execute(self, operator: Any, **params: Any) -> Any:
        return operator.execute({"params": params, "ti": self.ti})


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, warehouse: URL, tmp_path: Path, reading: type[Reading]) -> Worker:
    """A worker that knows two agents, declared since six hours ago, and the warehouse's connection."""
    connection = {
        "conn_type": "postgres",
        "login": "postgres",
        "host": warehouse.query["host"],
        "schema": warehouse.database,
    }
    top = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR
    feeds = tmp_path / "feeds.yaml"
    feeds.write_text(FEEDS.format(start=f"{top - 6 * HOUR:%Y-%m-%dT%H:%M:%SZ}"))
    monkeypatch.setenv("AIRFLOW_CONN_TIEOUT_WAREHOUSE", json.dumps(connection))
    monkeypatch.setenv("TIEOUT_FEEDS", str(feeds))
    monkeypatch.setenv("TIEOUT_LANDING", f"file://{reading.base}")
    return Worker(top=top, landing=f"file://{reading.base}")


def land(reading: type[Reading], start: datetime, *, ago: timedelta = 3 * HOUR, **keys: Any) -> Reading:
    made = datetime.now(UTC) - ago
    return reading.of("hotroad", "summary", start, currency="USD", requested_at=made, **keys)


# -- repair -------------------------------------------------------------------------------------------------------


def plan(worker: Worker, **params: Any) -> Any:
    return worker.execute(PlanRepairOperator(task_id="plan_repair"), **{**REPAIR, **params})


def test_a_plan_declares_the_feeds_and_names_the_holes(
    worker: Worker, reading: type[Reading], db: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    land(reading, worker.hour(4)).load()
    batches = plan(worker)
    assert batches == [
        {
            "provider": "hotroad", "feed": "summary", "agent": "acme",
            "from": f"{worker.hour(6):%Y-%m-%dT%H:%M:%SZ}", "to": f"{worker.hour(4):%Y-%m-%dT%H:%M:%SZ}",
            "name": f"hotroad summary acme [{worker.hour(6):%Y-%m-%dT%H:%M:%SZ}, {worker.hour(4):%Y-%m-%dT%H:%M:%SZ})",
        }
    ]  # fmt: skip
    assert db.execute("SELECT count(*) FROM ops.agents").fetchone() == (3,)
    assert [entry["feed"] for entry in worker.ti.pushed["forecast"]] == ["summary", "bets", "rebates"]
    said = capsys.readouterr().out
    assert said.count("missing, later slices were read") == 2
    assert "2 slice(s) want mending, 2 of them now, in 1 batches" in said


def test_params_narrow_and_widen_a_plan(worker: Worker, reading: type[Reading]) -> None:
    land(reading, worker.hour(4)).load()
    assert plan(worker, provider="lucko") == []
    assert plan(worker, to=worker.hour(6).isoformat()) == []
    assert len(plan(worker, **{"from": worker.hour(5).isoformat()})) == 1
    found = plan(worker, everything=True)
    assert {(batch["provider"], batch["feed"]) for batch in found} == {
        ("hotroad", "summary"), ("lucko", "bets"), ("lucko", "rebates"),
    }  # fmt: skip
    assert plan(worker, everything=True, dry_run=True) == []


def test_a_plan_says_when_the_quota_does_not_suffice(
    worker: Worker,
    db: psycopg.Connection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    start = f"{worker.top - 40 * DAY + 8 * HOUR:%Y-%m-%dT%H:%M:%SZ}"
    slow = tmp_path / "slow.yaml"
    slow.write_text(
        f'agents: [{{provider: hotroad, agent: acme, conn_id: c, start: "{start}", currency: USD, '
        "feeds: {summary: {interval: 50min}}}]"
    )
    monkeypatch.setenv("TIEOUT_FEEDS", str(slow))
    plan(worker)
    assert "slice(s) will be forgotten before their turn" in capsys.readouterr().out
    assert worker.ti.pushed["forecast"][0]["suffices"] is False


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"agent": "nobody"}, "param 'agent': 'nobody' is not declared; declared are acme"),
        ({"provider": "jdb"}, "param 'provider': 'jdb' is not declared; declared are hotroad, lucko"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "param 'to': '2026-01-01' does not lie after 'from'"),
    ],
)
def test_a_plan_refuses_params_that_make_no_sense(worker: Worker, params: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        plan(worker, **params)


def test_a_batch_loads_what_was_landed(worker: Worker, reading: type[Reading], db: psycopg.Connection) -> None:
    land(reading, worker.hour(4)).load()
    # As its pull had left it.
    db.execute("UPDATE ops.readings SET state = 'landed', loaded_at = NULL, reason = NULL")
    (batch,) = plan(worker, **{"from": worker.hour(4).isoformat(), "to": worker.hour(3).isoformat()})
    counts = worker.execute(RepairBatchOperator(task_id="repair_batch", batch=batch, landing=worker.landing), **REPAIR)
    assert (counts["wanted"], counts["loaded"]) == (1, 1)
    assert db.execute("SELECT state FROM ops.readings").fetchall() == [("certified",)]


def test_a_batch_of_a_feed_that_is_no_longer_declared_says_so(worker: Worker) -> None:
    batch = {"provider": "jdb", "feed": "daily", "agent": "gone", "from": "2026-01-01", "to": "2026-01-02"}
    with pytest.raises(ConfigError, match="'jdb' is not declared"):
        worker.execute(RepairBatchOperator(task_id="repair_batch", batch=batch, landing=worker.landing), **REPAIR)


# -- replay -------------------------------------------------------------------------------------------------------


def replay(worker: Worker, **params: Any) -> Any:
    asked = {
        **NOTHING, "provider": "hotroad", "agent": "acme", "only_uncertified": False,
        "from": worker.hour(48).isoformat(), "to": worker.top.isoformat(), **params,
    }  # fmt: skip
    batches = worker.execute(PlanReplayOperator(task_id="plan_replay", landing=worker.landing), **asked)
    counts = [
        worker.execute(ReplayBatchOperator(task_id="replay_batch", batch=batch, landing=worker.landing), **asked)
        for batch in json.loads(json.dumps(batches))
    ]
    return batches, counts


def test_a_replay_goes_by_days_oldest_first_and_counts(
    worker: Worker, reading: type[Reading], db: psycopg.Connection
) -> None:
    hours = [40, 30, 20, 2, 1]
    for number in hours:
        land(reading, worker.hour(number)).answer({"code": "0000", "data": {"list": [_total(number)]}}).land()
    batches, counts = replay(worker)
    starts = [batch["from"] for batch in batches]
    assert starts == sorted(starts)
    assert len(batches) == len({worker.hour(number).date() for number in hours})
    assert sum(batch["readings"] for batch in batches) == sum(count["certified"] for count in counts) == len(hours)
    assert sum(count["inserted"] for count in counts) == len(hours)
    assert db.execute("SELECT DISTINCT kind, state FROM ops.readings").fetchall() == [("replay", "certified")]
    batches, counts = replay(worker, only_uncertified=True)
    assert (batches, counts) == ([], [])


def _total(number: int) -> dict[str, Any]:
    return {
        "gameType": "1", "gameCode": f"g{number}", "betAmount": 1, "winLoss": 0, "winAmount": 1, "validBet": 1,
    }  # fmt: skip


def test_an_agent_need_not_be_declared_any_more(worker: Worker, reading: type[Reading]) -> None:
    land(reading, worker.hour(3), agent="gone").land()
    _, counts = replay(worker, agent="gone")
    assert [count["certified"] for count in counts] == [1]


def test_nothing_in_landing_is_an_error_that_says_what_was_looked_for(worker: Worker) -> None:
    with pytest.raises(FatalError) as caught:
        replay(worker, provider="lucko")
    text = str(caught.value)
    assert worker.landing in text
    assert "holds no reading of lucko bets, rebates agent=acme" in text
    assert "TIEOUT_LANDING" in text


def test_a_feed_of_another_provider_is_refused(worker: Worker) -> None:
    with pytest.raises(ConfigError, match="param 'feed': 'bets' is no feed of hotroad; it has summary"):
        replay(worker, feed="bets")


# -- monitor ------------------------------------------------------------------------------------------------------


def test_the_monitor_fails_once_for_a_new_gap(
    worker: Worker, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monitor = RecordLostOperator(task_id="record_lost")
    assert worker.execute(monitor) == {"gaps": 0, "new": 0, "grown": 0, "healed": 0}
    old = tmp_path / "old.yaml"
    start = worker.top - 40 * DAY - 10 * HOUR
    old.write_text(
        f'agents: [{{provider: hotroad, agent: acme, conn_id: c, start: "{start:%Y-%m-%dT%H:%M:%SZ}", currency: USD}}]'
    )
    monkeypatch.setenv("TIEOUT_FEEDS", str(old))
    db.execute("UPDATE ops.agents SET first_known_at = now() - interval '1 year'")
    declared = old.read_text()
    old.write_text(declared + "\nalerts: {notifiers: [{name: mail, class: a.b}]}\n")
    # The alert tells it: nobody hears of it twice.
    assert worker.execute(monitor) == {"gaps": 1, "new": 1, "grown": 0, "healed": 0}
    old.write_text(declared)
    db.execute("DELETE FROM ops.lost")
    with pytest.raises(FatalError) as caught:
        worker.execute(monitor)
    text = str(caught.value)
    assert f"hotroad summary agent=acme [{start:%Y-%m-%dT%H:%M:%SZ}, " in text
    assert "the provider answers 40 days back" in text
    assert "It will not be retried." in text
    assert worker.execute(monitor) == {"gaps": 1, "new": 0, "grown": 0, "healed": 0}


# -- beyond reach -------------------------------------------------------------------------------------------------


def test_a_load_takes_one_manifest_or_several(worker: Worker, reading: type[Reading], db: psycopg.Connection) -> None:
    paths = [f"file://{land(reading, worker.hour(number)).land()}" for number in (5, 4, 3)]

    def load(manifest: Any) -> Any:
        operator = LoadSliceOperator(
            task_id="load_slice", provider="hotroad", feed="summary", agent="acme", manifest=manifest
        )
        return worker.execute(operator)

    assert load(paths[0])["state"] == "certified"
    assert load(paths[1:])["state"] == "certified"
    assert db.execute("SELECT count(*) FROM ops.readings WHERE state = 'certified'").fetchone() == (3,)
    odd = land(reading, worker.hour(2), problem="cut off").land()
    with pytest.raises(SuspectReading, match="cut off"):
        load([f"file://{odd}", f"file://{land(reading, worker.hour(1)).land()}"])
    assert db.execute("SELECT count(*) FROM ops.readings WHERE state = 'certified'").fetchone() == (4,)
