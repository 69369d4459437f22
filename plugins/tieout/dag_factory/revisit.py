"""The DAG that reads recent slices of an agent again: one task per feed, every hour."""

from __future__ import annotations

import zlib

from airflow.sdk import DAG

from tieout.assets import RELOADED
from tieout.core.coverage import plain
from tieout.dag_factory.common import EPOCH, HOURLY_RETRIES, defaults
from tieout.feeds import Agent, AgentFeed
from tieout.operators import RevisitFeedOperator
from tieout.priority import SlicePriority
from tieout.settings import PULL_POOL, landing_base


def build_revisit_dag(agent: Agent) -> DAG:
    """Return the hourly DAG that reads again what is due of each feed of an agent: revisit_<feed>."""
    with DAG(
        dag_id=agent.dag_id("revisit"),
        description=f"Recent slices of agent {agent.agent} read again: what {agent.provider} has restated since.",
        doc_md=_doc(agent),
        schedule=f"{_minute(agent)} * * * *",
        start_date=EPOCH,
        catchup=False,
        max_active_runs=1,
        tags=["tieout", agent.provider, "revisits", f"agent:{agent.agent}"],
        default_args=defaults(retries=HOURLY_RETRIES),
    ) as dag:
        for feed in agent.feeds:
            if feed.revisits:
                RevisitFeedOperator(
                    task_id=f"revisit_{feed.spec.name}",
                    declared=feed,
                    landing=landing_base(),
                    pool=PULL_POOL,
                    weight_rule=SlicePriority(),
                    outlets=[RELOADED],
                    doc_md=_task_doc(feed),
                )
    return dag


def _minute(agent: Agent) -> int:
    """The minute of an agent's runs: always the same for it, and spread over the hour for many agents."""
    return zlib.crc32(f"{agent.provider}/{agent.agent}".encode()) % 60


def _ages(feed: AgentFeed) -> str:
    return ", ".join(plain(age) for age in sorted(feed.revisits))


def _doc(agent: Agent) -> str:
    rows = "\n".join(
        f"| {feed.spec.name} | {_ages(feed)} | {plain(feed.spec.joined_width)} |"
        for feed in agent.feeds
        if feed.revisits
    )
    return f"""\
### Revisits of agent `{agent.agent}`

Providers settle, void and restate what they have reported already. Every hour this DAG reads again the slices that
have reached one of their ages since they were last read; adjoining ones in one reading, certified each by itself.

| feed | ages after a slice's end | joined up to |
|---|---|---|
{rows}

A slice that was first read after its last age is not read again. What has not changed writes nothing but its
certificate; what has changed keeps its former state in the feed's table of versions, where it has one.

**A run failed**: it names the ranges. They stay due; the next run takes them up, suspect ones after a growing pause.
Ages are the key `revisits` in the feeds file. What was found: `select * from ops.readings where kind = 'revisit'`.
"""


def _task_doc(feed: AgentFeed) -> str:
    return f"""\
Reads again what is due of {feed.spec.title} ({_ages(feed)} after a slice's end), the oldest first, for at most twenty
minutes; what is left stays due. Goes on after a suspect range and fails in the end, naming it.
"""
