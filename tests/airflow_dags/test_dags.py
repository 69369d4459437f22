"""The generated DAGs: golden files, determinism, and what a person sees of them."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from tieout.assets import RELOADED
from tieout.core.errors import ConfigError
from tieout.dag_factory import build_dags
from tieout.feeds import parse_agents
from tieout.operators.base import Choice
from tieout.priority import SlicePriority

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
#: What depends on where the checkout lies.
LOCAL = ("fileloc", "relative_fileloc", "_processor_dags_folder")
FEED_DAGS = [
    "hotroad__summary__acme",
    "jdb__daily__acme",
    "lucko__bets__acme",
    "lucko__rebates__acme",
    "vertexplay__betlogs__acme",
]
PROVIDERS = ("hotroad", "jdb", "lucko", "vertexplay")
#: DAG → its tasks that call a provider, and the others.
TASKS: dict[str, tuple[set[str], set[str]]] = {
    **{dag_id: ({"pull_slice"}, {"load_slice"}) for dag_id in FEED_DAGS},
    "hotroad__revisit__acme": ({"revisit_summary"}, set()),
    "jdb__revisit__acme": ({"revisit_daily"}, set()),
    "lucko__revisit__acme": ({"revisit_bets", "revisit_rebates"}, set()),
    "vertexplay__revisit__acme": ({"revisit_betlogs"}, set()),
    "lucko__reconcile__acme": (set(), {"wait_for_coverage", "judge_day", "write_statements"}),
    "lucko__rejudge__acme": (set(), {"rejudge", "write_statements"}),
    "hotroad__control__acme": ({"control_total"}, {"wait_for_coverage", "write_statements"}),
    **{f"{provider}__mart__acme": (set(), {"refresh_mart", "write_statements"}) for provider in PROVIDERS},
    "tieout__monitor": (set(), {"record_lost", "raise_alerts"}),
    "tieout__repair": ({"repair_batch"}, {"plan_repair"}),
    "tieout__replay": (set(), {"plan_replay", "replay_batch"}),
}
DAG_IDS = sorted(TASKS)


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


@pytest.mark.parametrize("dag_id", [*FEED_DAGS, "lucko__reconcile__acme"])
def test_round_trip_keeps_timetable_and_tasks(dags: dict[str, DAG], dag_id: str) -> None:
    back = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert back.timetable.serialize() == dags[dag_id].timetable.serialize()
    assert sorted(back.task_dict) == sorted(dags[dag_id].task_dict)


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_tasks_that_call_a_provider_share_a_pool_and_a_priority(dags: dict[str, DAG], dag_id: str) -> None:
    calling, others = TASKS[dag_id]
    # As the scheduler sees them: a mapped task keeps these in another place.
    dag = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    assert set(dag.task_dict) == calling | others
    for task_id, task in dag.task_dict.items():
        assert task.pool == ("tieout_pull" if task_id in calling else "default_pool")
        if task_id in calling:
            assert isinstance(task.weight_rule, SlicePriority)
        assert task.has_retry_policy
        assert task.retries > 0


def test_feed_dags_pull_then_load_within_limits(dags: dict[str, DAG]) -> None:
    for dag_id in FEED_DAGS:
        pull, load = dags[dag_id].get_task("pull_slice"), dags[dag_id].get_task("load_slice")
        assert pull.downstream_task_ids == {"load_slice"}
        assert (pull.pool, load.pool) == ("tieout_pull", "default_pool")
        assert pull.max_active_tis_per_dag == 2
        assert pull.retry_policy is not None
        assert pull.retries > 0


def test_dags_of_slices_catch_up_and_declare_no_end_date(dags: dict[str, DAG]) -> None:
    # The timetable tells the scheduler from a backfill by the end date that only a backfill sets.
    for dag_id in (*FEED_DAGS, "lucko__reconcile__acme"):
        assert dags[dag_id].catchup
        assert dags[dag_id].end_date is None


def test_dags_of_upkeep_run_one_at_a_time_and_catch_nothing_up(dags: dict[str, DAG]) -> None:
    upkeep = {dag_id: dag for dag_id, dag in dags.items() if "revisit" in dag_id or dag_id.startswith("tieout__")}
    assert len(upkeep) == 7
    for dag_id, dag in upkeep.items():
        assert not dag.catchup
        assert dag_id == "tieout__replay" or dag.max_active_runs == 1


def test_revisits_are_spread_over_the_hour(dags: dict[str, DAG]) -> None:
    text = "agents: [" + ", ".join(
        f'{{provider: lucko, agent: a{number}, conn_id: c, start: 2026-01-01}}' for number in range(200)
    ) + "]"  # fmt: skip
    crons = [str(dag.schedule) for dag in build_dags(parse_agents(text)) if dag.dag_id.split("__")[1] == "revisit"]
    assert len(crons) == 200
    assert all(cron.endswith(" * * * *") for cron in crons)
    # 200 agents at random would leave two of 60 minutes free.
    assert len(set(crons)) > 50


def test_an_agent_without_revisits_has_no_dag_for_them() -> None:
    text = """
agents:
  - {provider: lucko, agent: a, conn_id: c, start: 2026-01-01, feeds: {bets: {revisits: []}}}
  - {provider: hotroad, agent: b, conn_id: c, start: 2026-01-01, currency: USD, feeds: {summary: {revisits: []}}}
"""
    dags = {dag.dag_id: dag for dag in build_dags(parse_agents(text))}
    assert dags["lucko__revisit__a"].task_ids == ["revisit_rebates"]
    assert "hotroad__revisit__b" not in dags
    assert "hotroad__summary__b" in dags


def test_without_agents_only_the_dags_that_look_after_all_of_them_are_there() -> None:
    assert [dag.dag_id for dag in build_dags(())] == ["tieout__repair", "tieout__replay", "tieout__monitor"]


def test_repairs_leave_pull_slots_to_live_slices(dags: dict[str, DAG]) -> None:
    repair = DagSerialization.from_dict(DagSerialization.to_dict(dags["tieout__repair"]))
    assert repair.get_task("repair_batch").max_active_tis_per_dag == 2
    replay = DagSerialization.from_dict(DagSerialization.to_dict(dags["tieout__replay"]))
    assert replay.get_task("replay_batch").max_active_tis_per_dagrun == 1


def test_documentation_and_tags_are_there(dags: dict[str, DAG]) -> None:
    for dag_id, dag in dags.items():
        assert dag.doc_md
        assert dag.doc_md.startswith("### ")
        assert "tieout" in dag.tags
        assert dag_id.startswith("tieout__") or "agent:acme" in dag.tags
        back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert all(task.doc_md for task in back.task_dict.values())


def test_reconciliation_waits_for_coverage_but_not_for_ever(dags: dict[str, DAG]) -> None:
    dag = dags["lucko__reconcile__acme"]
    wait, judge = dag.get_task("wait_for_coverage"), dag.get_task("judge_day")
    assert wait.mode == "reschedule"
    assert wait.timeout == 6 * 3600
    assert wait.soft_fail
    assert judge.trigger_rule == "none_failed"
    assert "Asia/Shanghai" in judge.day


def test_what_loads_start_runs_once_for_many_of_them(dags: dict[str, DAG]) -> None:
    for dag_id, dag in dags.items():
        if dag_id.split("__")[1] not in ("rejudge", "mart"):
            continue
        assert dag.max_active_runs == 1
        task = next(task for task in dag.tasks if not task.upstream_task_ids)
        assert task.pause == timedelta(minutes=5)
        assert task.downstream_task_ids == {"write_statements"}


def test_whoever_changes_rows_says_so_to_whoever_depends_on_them(dags: dict[str, DAG]) -> None:
    """What the DAGs of an agent are scheduled on is what its loads update, by themselves or through the alias."""
    serialized_dags = {dag_id: serialized(dag)["dag"] for dag_id, dag in dags.items()}
    listened = {
        asset["uri"]
        for dag_id in ("lucko__rejudge__acme", *(f"{provider}__mart__acme" for provider in PROVIDERS))
        for asset in serialized_dags[dag_id]["timetable"]["__var"]["asset_condition"]["objects"]
    }
    updated = {outlet.uri for dag_id in FEED_DAGS for outlet in dags[dag_id].get_task("load_slice").outlets}
    assert listened == updated == {f"tieout://{'/'.join(dag_id.split('__'))}" for dag_id in FEED_DAGS}
    over_many = ("lucko__revisit__acme", "tieout__repair", "tieout__replay")
    told = [task for dag_id in over_many for task in dags[dag_id].tasks if not task.task_id.startswith("plan_")]
    assert len(told) == 4
    for task in told:
        assert (getattr(task, "partial_kwargs", None) or vars(task))["outlets"] == [RELOADED]


def test_nothing_secret_is_serialized(dags: dict[str, DAG]) -> None:
    text = json.dumps([serialized(dag) for dag in dags.values()]).lower()
    assert "password" not in text
    assert "api_key" not in text


# -- forms --------------------------------------------------------------------------------------------------------

RANGE = {"from": "2026-01-01", "to": "2026-02-01T00:00:00Z"}


def resolve(dag: DAG, given: dict[str, Any]) -> dict[str, Any]:
    """What the API server does with the values of a trigger form."""
    back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    params = back.params.deep_merge(given)
    return dict(params.validate())


def test_repair_runs_on_schedule_without_params(dags: dict[str, DAG]) -> None:
    assert resolve(dags["tieout__repair"], {}) == {
        "provider": None, "agent": None, "feed": None, "from": None, "to": None, "everything": False, "dry_run": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", "luckoo"), ("provider", 7), ("agent", ""), ("agent", ["acme"]), ("feed", "bet"),
        ("from", "yesterday"), ("from", "2026-1-1"), ("to", "2026-01-01T25"), ("everything", "yes"), ("dry_run", 1),
    ],
)  # fmt: skip
def test_a_wrong_param_of_repair_is_named(dags: dict[str, DAG], field: str, value: Any) -> None:
    with pytest.raises(ParamValidationError, match=f"param {field}:"):
        resolve(dags["tieout__repair"], {field: value})


@pytest.mark.parametrize("missing", ["provider", "agent", "from", "to"])
def test_replay_asks_for_what_it_needs(dags: dict[str, DAG], missing: str) -> None:
    given = {"provider": "lucko", "agent": "acme", **RANGE}
    assert resolve(dags["tieout__replay"], given)["only_uncertified"] is False
    given.pop(missing)
    with pytest.raises(ParamValidationError, match=f"param {missing}:"):
        resolve(dags["tieout__replay"], given)


@pytest.mark.parametrize(
    "text",
    ["2026-01-31", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.250Z", "2026-01-31T12:00:00+08:00", "2026-01-31T12:00",
     "2026-01-31 12:00:00"],
)  # fmt: skip
def test_instants_may_be_written_as_one_likes(dags: dict[str, DAG], text: str) -> None:
    found = resolve(dags["tieout__repair"], {"from": text})
    since = Choice.of(found).since
    assert since is not None
    assert since.utcoffset() == timedelta(0)
    assert (since.year, since.month, since.day) == (2026, 1, 31)


def test_every_param_explains_itself(dags: dict[str, DAG]) -> None:
    for dag_id in ("tieout__repair", "tieout__replay"):
        for name in dags[dag_id].params:
            param = dags[dag_id].params.get_param(name)
            assert param.description
            assert param.schema["title"]


def test_values_that_contradict_each_other_are_named() -> None:
    agents = parse_agents((HERE / "agents.yaml").read_text())
    with pytest.raises(ConfigError, match="param 'to': '2026-01-01' does not lie after 'from'"):
        Choice.of({"from": "2026-01-02", "to": "2026-01-01"})
    with pytest.raises(ConfigError, match="param 'from': '2026-02-30' is no instant"):
        Choice.of({"from": "2026-02-30"})
    with pytest.raises(ConfigError, match="param 'agent': 'nobody' is not declared; declared are acme"):
        Choice.of({"agent": "nobody"}).select(agents)
    with pytest.raises(ConfigError, match="param 'feed': 'daily' is not declared; declared are bets, rebates"):
        Choice.of({"provider": "lucko", "feed": "daily"}).select(agents)
    assert [feed.dag_id for feed in Choice.of({"provider": "lucko"}).select(agents)] == [
        "lucko__bets__acme", "lucko__rebates__acme",
    ]  # fmt: skip
    assert len(Choice.of({}).select(agents)) == 5
    assert Choice.of({}).select(()) == []
