"""Extra links of tasks: every task has one, it survives serialization, and it leads to a page that exists."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from tieout.dag_factory import build_dags
from tieout.feeds import parse_agents
from tieout.operators import ControlTotalOperator
from tieout.operators.reconcile import JudgeDayOperator
from tieout.web import EXTERNAL_VIEWS
from tieout.web.app import build_app

AGENTS = Path(__file__).parent / "agents.yaml"
START, END = "2026-03-10T04:00:00+00:00", "2026-03-10T05:00:00+00:00"
BATCH = {"provider": "hotroad", "feed": "summary", "agent": "acme", "from": START, "to": END, "name": "one"}
SLICE = {"agent": ["acme"], "day": ["2026-03-10"], "slice": ["2026-03-10T04:00:00Z"]}
DAYS = {"agent": ["acme"], "first": ["2026-03-09"], "last": ["2026-03-10"]}


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    return {dag.dag_id: dag for dag in build_dags(parse_agents(AGENTS.read_text()))}


def rendered(dags: dict[str, DAG], dag_id: str, task_id: str) -> Any:
    """The task as it is when its templates are rendered."""
    task = dags[dag_id].task_dict[task_id]
    if task.is_mapped:
        task = task.unmap({"batch": BATCH})  # type: ignore[union-attr]
    for name, value in (("slice_start", START), ("slice_end", END)):
        if name in task.template_fields:
            setattr(task, name, value)
    if "days" in task.template_fields:
        task.days = ["2026-03-09", "2026-03-10"]
    return task


def test_every_task_has_a_link_that_survives_serialization(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        for task_id, task in restored.task_dict.items():
            links = [(link.name, link.xcom_key) for link in task.operator_extra_links]
            assert [name for name, _ in links] == task.extra_links, f"{dag.dag_id}.{task_id}"
            assert len(links) == 1, f"{dag.dag_id}.{task_id}"
            assert links[0][1].startswith("_link_")


@pytest.mark.parametrize(("dag_id", "task_id", "view", "page", "query"), [
    ("hotroad__summary__acme", "pull_slice", "coverage", "slices",
     {"provider": ["hotroad"], "feed": ["summary"], **SLICE}),
    ("lucko__bets__acme", "load_slice", "coverage", "slices", {"provider": ["lucko"], "feed": ["bets"], **SLICE}),
    ("lucko__revisit__acme", "revisit_rebates", "coverage", "coverage",
     {"provider": ["lucko"], "feed": ["rebates"], "agent": ["acme"]}),
    ("tieout__repair", "repair_batch", "coverage", "slices",
     {"provider": ["hotroad"], "feed": ["summary"], "agent": ["acme"], "day": ["2026-03-10"]}),
    ("tieout__replay", "replay_batch", "coverage", "slices",
     {"provider": ["hotroad"], "feed": ["summary"], "agent": ["acme"], "day": ["2026-03-10"]}),
    ("tieout__repair", "plan_repair", "coverage", "coverage", {}),
    ("tieout__replay", "plan_replay", "coverage", "coverage", {}),
    ("tieout__monitor", "record_lost", "coverage", "coverage", {}),
    ("tieout__monitor", "raise_alerts", "coverage", "coverage", {}),
    ("lucko__reconcile__acme", "wait_for_coverage", "coverage", "coverage",
     {"provider": ["lucko"], "agent": ["acme"]}),
    ("lucko__reconcile__acme", "judge_day", "reconciliation", "reconciliation", {"agent": ["acme"]}),
    ("lucko__reconcile__acme", "write_statements", "reconciliation", "reconciliation", DAYS),
    ("lucko__rejudge__acme", "rejudge", "reconciliation", "reconciliation", {"agent": ["acme"]}),
    ("jdb__mart__acme", "refresh_mart", "reconciliation", "integrity", {"provider": ["jdb"], "agent": ["acme"]}),
    ("jdb__mart__acme", "write_statements", "reconciliation", "integrity", {"provider": ["jdb"], **DAYS}),
    ("hotroad__control__acme", "control_total", "reconciliation", "controls",
     {"provider": ["hotroad"], "agent": ["acme"], "first": ["2026-03-10"], "last": ["2026-03-10"]}),
    ("hotroad__control__acme", "write_statements", "reconciliation", "integrity", {"provider": ["hotroad"], **DAYS}),
])  # fmt: skip
def test_a_link_leads_to_the_page_of_what_the_task_worked_on(
    dags: dict[str, DAG], dag_id: str, task_id: str, view: str, page: str, query: dict[str, list[str]]
) -> None:
    task = rendered(dags, dag_id, task_id)
    (link,) = task.operator_extra_links
    address = urlsplit(link.get_link(task, ti_key=None))
    assert address.path == f"plugin/tieout-{view}/tieout/{page}"
    assert parse_qs(address.query) == query
    # Airflow knows the view, and the application the page.
    assert f"tieout-{view}" in {each["url_route"] for each in EXTERNAL_VIEWS}
    assert f"/{page}" in {route.path for route in build_app().routes}


def test_a_compared_day_is_handed_to_its_statement_as_it_is_listed(
    dags: dict[str, DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A range is listed under the day of its first instant in the agent's timezone."""
    task = rendered(dags, "hotroad__control__acme", "control_total")
    assert isinstance(task, ControlTotalOperator)
    task.slice_start, task.slice_end = "2026-03-10T00:00:00+00:00", "2026-03-11T00:00:00+00:00"
    task.timezone = "America/New_York"
    compared = SimpleNamespace(state="equal", differing=0, hours_open=0)
    for name, value in (
        ("plan_of", SimpleNamespace(where="here", feed=None)), ("warehouse_url", ""), ("pull_control", "/x"),
        ("compare_control", compared),
    ):  # fmt: skip
        monkeypatch.setattr(f"tieout.operators.outputs.{name}", lambda *_, value=value, **__: value)
    monkeypatch.setattr(ControlTotalOperator, "ingest", SimpleNamespace(puller=lambda _: nullcontext()))
    assert task.execute({})["days"] == ["2026-03-09"]
    assert dags["hotroad__control__acme"].task_dict["write_statements"].upstream_task_ids == {"control_total"}


def test_a_judge_links_to_the_days_it_has_judged_even_when_it_fails(
    dags: dict[str, DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = dags["lucko__reconcile__acme"].task_dict["judge_day"]
    assert isinstance(task, JudgeDayOperator)
    first = task.first_day
    task.day = str(first + timedelta(days=1))
    monkeypatch.setattr("tieout.operators.reconcile.warehouse_url", lambda conn_id: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        task.execute({})
    query = parse_qs(urlsplit(task.page).query)
    assert query == {"agent": ["acme"], "first": [str(first)], "last": [str(first + timedelta(days=1))]}
    assert date.fromisoformat(query["first"][0]) == first
