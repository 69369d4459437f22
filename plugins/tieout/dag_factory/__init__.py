"""Builds DAGs from declared agents: pure and deterministic, the same declaration gives the same DAG."""

from __future__ import annotations

from collections.abc import Iterator

from airflow.configuration import conf
from airflow.sdk import DAG

from tieout.dag_factory.control import build_control_dag
from tieout.dag_factory.feed import build_feed_dag
from tieout.dag_factory.mart import build_mart_dag
from tieout.dag_factory.reconcile import build_reconcile_dag, build_rejudge_dag
from tieout.dag_factory.revisit import build_revisit_dag
from tieout.dag_factory.shard import Shard
from tieout.dag_factory.upkeep import build_monitor_dag, build_repair_dag, build_replay_dag
from tieout.feeds import Agent
from tieout.settings import check_landing_is_shared

__all__ = [
    "build_control_dag",
    "build_dags",
    "build_feed_dag",
    "build_mart_dag",
    "build_monitor_dag",
    "build_reconcile_dag",
    "build_rejudge_dag",
    "build_repair_dag",
    "build_replay_dag",
    "build_revisit_dag",
]


def build_dags(agents: tuple[Agent, ...], *, shard: str = "1/1") -> Iterator[DAG]:
    """Yield every DAG of the declared agents, in a stable order, and those that look after all of them.

    *shard* (``2/4``: the second of four DAG files) keeps to the agents that belong there; what looks after all stands
    in the first. Raises ConfigError for a shard that does not exist, and when tasks could not see each other's landing
    files: Airflow shows it as an import error.
    """
    check_landing_is_shared(conf.get("core", "executor"))
    part = Shard.parse(shard)
    for agent in agents:
        if part.holds(agent.agent):
            yield from _dags_of(agent)
    if part.is_first:
        yield build_repair_dag(agents)
        yield build_replay_dag(agents)
        yield build_monitor_dag()


def _dags_of(agent: Agent) -> Iterator[DAG]:
    for feed in agent.feeds:
        yield build_feed_dag(feed)
    if any(feed.revisits for feed in agent.feeds):
        yield build_revisit_dag(agent)
    if agent.provider == "lucko":
        yield build_reconcile_dag(agent)
        yield build_rejudge_dag(agent)
    if agent.provider == "hotroad":
        yield build_control_dag(agent)
    yield build_mart_dag(agent)
