"""Builds DAGs from declared agents: pure and deterministic, the same declaration gives the same DAG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from airflow.configuration import conf
from airflow.sdk import DAG, get_parsing_context

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


#: What builds a DAG, and the id of the DAG it builds.
_Planned = tuple[str, Callable[[], DAG]]


def build_dags(agents: tuple[Agent, ...], *, shard: str = "1/1") -> Iterator[DAG]:
    """Yield every DAG of the declared agents, in a stable order, and those that look after all of them.

    *shard* (``2/4``: the second of four DAG files) keeps to the agents that belong there; what looks after all stands
    in the first. A task that parses the file gets its own DAG alone. Raises ConfigError for a shard that does not
    exist, and when tasks could not see each other's landing files: Airflow shows it as an import error.
    """
    check_landing_is_shared(conf.get("core", "executor"))
    wanted = get_parsing_context().dag_id
    for dag_id, build in _planned(agents, Shard.parse(shard)):
        # A DAG takes milliseconds to build; those of hundreds of agents would take each of their tasks seconds.
        if wanted in (None, dag_id):
            yield build()


def _planned(agents: tuple[Agent, ...], shard: Shard) -> Iterator[_Planned]:
    for agent in agents:
        if shard.holds(agent.agent):
            yield from _planned_for(agent)
    if shard.is_first:
        yield "tieout__repair", partial(build_repair_dag, agents)
        yield "tieout__replay", partial(build_replay_dag, agents)
        yield "tieout__monitor", build_monitor_dag


def _planned_for(agent: Agent) -> Iterator[_Planned]:
    for feed in agent.feeds:
        yield feed.dag_id, partial(build_feed_dag, feed)
    if any(feed.revisits for feed in agent.feeds):
        yield agent.dag_id("revisit"), partial(build_revisit_dag, agent)
    if agent.provider == "lucko":
        yield agent.dag_id("reconcile"), partial(build_reconcile_dag, agent)
        yield agent.dag_id("rejudge"), partial(build_rejudge_dag, agent)
    if agent.provider == "hotroad":
        yield agent.dag_id("control"), partial(build_control_dag, agent)
    yield agent.dag_id("mart"), partial(build_mart_dag, agent)
