"""A task that parses a DAG file gets its own DAG, and none of the others is built."""

from __future__ import annotations

import pytest
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID as DAG_OF_TASK

from tieout import dag_factory
from tieout.dag_factory import build_dags
from tieout.feeds import Agent, parse_agents

ENTRIES = {
    "lucko": "",
    "hotroad": ", currency: USD",
    "jdb": ', currency: RMB, g_types: ["0"]',
    "vertexplay": "",
}


@pytest.fixture(scope="module")
def agents() -> tuple[Agent, ...]:
    return parse_agents(
        "agents:\n"
        + "".join(
            f"  - {{provider: {provider}, agent: {name}, conn_id: c, start: 2026-10-01{extra}}}\n"
            for provider, extra in ENTRIES.items()
            for name in ("acme", "bolt")
        )
    )


def test_every_dag_is_found_by_its_own_id(agents: tuple[Agent, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DAG_OF_TASK, raising=False)
    every = [dag.dag_id for dag in build_dags(agents)]
    assert len(every) == len(set(every)) == 35
    for dag_id in every:
        monkeypatch.setenv(DAG_OF_TASK, dag_id)
        assert [dag.dag_id for dag in build_dags(agents)] == [dag_id]


def test_others_are_not_even_built(agents: tuple[Agent, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("built")

    for name in dag_factory.__all__:
        if name not in ("build_dags", "build_mart_dag"):
            monkeypatch.setattr(dag_factory, name, never)
    monkeypatch.setenv(DAG_OF_TASK, "jdb__mart__bolt")
    assert [dag.dag_id for dag in build_dags(agents)] == ["jdb__mart__bolt"]
    monkeypatch.setenv(DAG_OF_TASK, "jdb__mart__gone")
    assert list(build_dags(agents)) == []
    monkeypatch.delenv(DAG_OF_TASK)
    with pytest.raises(AssertionError, match="built"):
        list(build_dags(agents))
