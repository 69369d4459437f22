"""docs/dags.md: every DAG that one agent of each provider gets, as the factory builds it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from airflow.sdk import DAG, Asset, AssetAny, BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator

from tieout.dag_factory import build_dags
from tieout.feeds import parse_agents
from tieout.timetable import SliceTimetable

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dags.md"
#: One agent of each provider, as plain as can be.
AGENTS = """
agents:
  - {provider: hotroad, agent: acme, conn_id: hotroad_acme, start: 2026-01-01, currency: USD}
  - {provider: jdb, agent: acme, conn_id: jdb_acme, start: 2026-01-01, currency: RMB, g_types: ["0", "7"]}
  - {provider: lucko, agent: acme, conn_id: lucko_acme, start: 2026-01-01}
  - {provider: vertexplay, agent: acme, conn_id: vertexplay_acme, start: 2026-01-01}
"""
HEAD = """\
# The DAGs of an agent

Made from the code by `make docs`: what `include/feeds.yaml` would give for an agent `acme` of every provider. Each DAG
carries its own documentation in Airflow's UI.

"""


def render() -> str:
    """Return the page."""
    dags = sorted(build_dags(parse_agents(AGENTS)), key=lambda dag: dag.dag_id)
    return HEAD + "\n".join(_section(dag) for dag in dags)


def _section(dag: DAG) -> str:
    lines = [f"## {dag.dag_id}", "", dag.description or "", "", f"Runs {_when(dag)}.", ""]
    lines += ["| task | operator | pool | does |", "|---|---|---|---|"]
    lines += [_row(task) for task in _in_order(dag.tasks)]
    return "\n".join((*lines, ""))


def _when(dag: DAG) -> str:
    if isinstance(dag.schedule, AssetAny):
        names = [asset.name for asset in dag.schedule.objects if isinstance(asset, Asset)]
        return f"after loads of {', '.join(f'`{name}`' for name in names)}"
    if dag.schedule is None:
        return "when it is triggered"
    if isinstance(dag.schedule, SliceTimetable):
        return f"by slices, `{dag.schedule.summary}` (their cron, and how long after their end), catching up"
    return f"on the schedule `{dag.schedule}`"


def _row(task: BaseOperator | MappedOperator) -> str:
    mapped = ", mapped" if isinstance(task, MappedOperator) else ""
    text = " ".join((task.doc_md or "").split())
    return f"| `{task.task_id}` | {task.task_type}{mapped} | {task.pool} | {text} |"


def _in_order(tasks: Iterable[BaseOperator | MappedOperator]) -> Iterator[BaseOperator | MappedOperator]:
    left = sorted(tasks, key=lambda task: task.task_id)
    done: set[str] = set()
    while left:
        task = next(task for task in left if task.upstream_task_ids <= done)
        left.remove(task)
        done.add(task.task_id)
        yield task


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
