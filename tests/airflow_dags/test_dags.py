"""The generated DAGs: golden files, determinism, and what a person sees of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from tieout.dag_factory import build_dags
from tieout.feeds import parse_agents

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
#: What depends on where the checkout lies.
LOCAL = ("fileloc", "relative_fileloc", "_processor_dags_folder")
DAG_IDS = [
    "hotroad__summary__acme",
    "jdb__daily__acme",
    "lucko__bets__acme",
    "lucko__rebates__acme",
    "lucko__reconcile__acme",
    "vertexplay__betlogs__acme",
]


@pytest.fixture
def dags(monkeypatch: pytest.MonkeyPatch) -> dict[str, DAG]:
    monkeypatch.setenv("TIEOUT_LANDING", "s3://landing/tieout")
    agents = parse_agents((HERE / "agents.yaml").read_text())
    return {dag.dag_id: dag for dag in build_dags(agents)}


def serialized(dag: DAG) -> dict[str, Any]:
    data: dict[str, Any] = DagSerialization.to_dict(dag)
    for name in LOCAL:
        data["dag"].pop(name, None)
    return data


def test_every_declared_feed_has_its_dag(dags: dict[str, DAG]) -> None:
    assert sorted(dags) == DAG_IDS


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_serialized_dag_is_the_golden_one(dags: dict[str, DAG], dag_id: str) -> None:
    """Set TIEOUT_WRITE_GOLDEN=1 to write the files anew; read the difference before committing it."""
    text = json.dumps(serialized(dags[dag_id]), indent=1, sort_keys=True) + "\n"
    path = GOLDEN / f"{dag_id}.json"
    if os.environ.get("TIEOUT_WRITE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text()


def test_two_parses_give_the_same_serialized_dags(dags: dict[str, DAG]) -> None:
    again = build_dags(parse_agents((HERE / "agents.yaml").read_text()))
    assert {dag.dag_id: serialized(dag) for dag in again} == {dag_id: serialized(dag) for dag_id, dag in dags.items()}


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_round_trip_keeps_timetable_and_tasks(dags: dict[str, DAG], dag_id: str) -> None:
    back = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert back.timetable.serialize() == dags[dag_id].timetable.serialize()
    assert sorted(back.task_dict) == sorted(dags[dag_id].task_dict)


def test_feed_dags_pull_then_load_within_limits(dags: dict[str, DAG]) -> None:
    for dag_id in DAG_IDS:
        if "reconcile" in dag_id:
            continue
        pull, load = dags[dag_id].get_task("pull_slice"), dags[dag_id].get_task("load_slice")
        assert pull.downstream_task_ids == {"load_slice"}
        assert (pull.pool, load.pool) == ("tieout_pull", "default_pool")
        assert pull.max_active_tis_per_dag == 2
        assert pull.retry_policy is not None
        assert pull.retries > 0


def test_feed_dags_catch_up_and_declare_no_end_date(dags: dict[str, DAG]) -> None:
    # The timetable tells the scheduler from a backfill by the end date that only a backfill sets.
    for dag in dags.values():
        assert dag.catchup
        assert dag.end_date is None


def test_documentation_and_tags_are_there(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        assert dag.doc_md
        assert "tieout" in dag.tags
        assert "agent:acme" in dag.tags
        assert all(task.doc_md for task in dag.tasks)


def test_reconciliation_waits_for_coverage_but_not_for_ever(dags: dict[str, DAG]) -> None:
    dag = dags["lucko__reconcile__acme"]
    wait, judge = dag.get_task("wait_for_coverage"), dag.get_task("judge_day")
    assert wait.mode == "reschedule"
    assert wait.timeout == 6 * 3600
    assert wait.soft_fail
    assert judge.trigger_rule == "none_failed"
    assert "Asia/Shanghai" in judge.day


def test_nothing_secret_is_serialized(dags: dict[str, DAG]) -> None:
    text = json.dumps([serialized(dag) for dag in dags.values()]).lower()
    assert "password" not in text
    assert "api_key" not in text
