"""What the DAGs that loads start have in common: their schedule, and one run at a time for many loads."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, AssetAny

from tieout.assets import rows_of
from tieout.dag_factory.common import EPOCH, HOURLY_RETRIES, defaults
from tieout.feeds import Agent
from tieout.settings import after_loads_pause


def dag_after_loads(agent: Agent, name: str, *, tag: str, description: str, doc: str) -> DAG:
    """Return the empty DAG ``<provider>__<name>__<agent>``, which runs after loads of any feed of the agent."""
    return DAG(
        dag_id=agent.dag_id(name),
        description=description,
        doc_md=doc,
        schedule=AssetAny(*(rows_of(agent.provider, feed.spec.name, agent.agent) for feed in agent.feeds)),
        start_date=EPOCH,
        max_active_runs=1,
        tags=["tieout", agent.provider, tag, f"agent:{agent.agent}"],
        default_args=defaults(retries=HOURLY_RETRIES),
    )


def gathering() -> dict[str, Any]:
    """Return how its first task gathers loads into one run, and hands the days it wrote to the next."""
    return {"pause": after_loads_pause(), "multiple_outputs": True}
