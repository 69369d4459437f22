"""Builds DAGs from declared agents: pure and deterministic, the same declaration gives the same DAG."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.configuration import conf
from airflow.sdk import DAG

from tieout.core.feed import FeedSpec
from tieout.feeds import Agent, AgentFeed
from tieout.operators import CoverageSensor, JudgeDayOperator, LoadSliceOperator, PullSliceOperator
from tieout.priority import SlicePriority
from tieout.retry import ErrorRetryPolicy
from tieout.settings import PULL_POOL, check_landing_is_shared, coverage_poke_seconds, landing_base
from tieout.timetable import SliceTimetable, slice_cron

#: Pulls of one DAG at a time, backfills included: more would only wait for the same quota.
PULLS_PER_DAG = 2
ACTIVE_RUNS = 8
#: With the policy's backoff, an outage of some hours is outlasted.
RETRIES = 12
COVERAGE_WAIT = timedelta(hours=6)


def build_dags(agents: tuple[Agent, ...]) -> Iterator[DAG]:
    """Yield every DAG of the declared agents, in a stable order.

    Raises ConfigError when tasks could not see each other's landing files: Airflow shows it as an import error.
    """
    check_landing_is_shared(conf.get("core", "executor"))
    for agent in agents:
        for feed in agent.feeds:
            yield build_feed_dag(feed)
        if agent.provider == "lucko":
            yield build_reconcile_dag(agent)


def build_feed_dag(feed: AgentFeed) -> DAG:
    """Return the DAG that reads one feed of one agent: pull_slice → load_slice."""
    spec = feed.spec
    with DAG(
        dag_id=feed.dag_id,
        description=f"{spec.title} of agent {feed.agent}: pull one slice, land it, load it with its certificate.",
        doc_md=_feed_doc(feed),
        schedule=SliceTimetable(feed.cron, lag=feed.lag, reach=spec.reach, stop=feed.stop),
        start_date=feed.start,
        catchup=True,
        max_active_runs=ACTIVE_RUNS,
        tags=["tieout", spec.provider, *spec.tags, f"agent:{feed.agent}"],
        default_args=_defaults(),
    ) as dag:
        pull = PullSliceOperator(
            task_id="pull_slice",
            declared=feed,
            landing=landing_base(),
            pool=PULL_POOL,
            max_active_tis_per_dag=PULLS_PER_DAG,
            weight_rule=SlicePriority(),
            doc_md=_PULL_DOC,
        )
        load = LoadSliceOperator(
            task_id="load_slice",
            provider=spec.provider,
            feed=spec.name,
            agent=feed.agent,
            weight_rule=SlicePriority(),
            doc_md=_LOAD_DOC,
        )
        pull >> load
    return dag


def build_reconcile_dag(agent: Agent) -> DAG:
    """Return the DAG that judges a Lucko agent's settlement days: wait_for_coverage → judge_day."""
    zone = ZoneInfo(agent.recon.timezone)
    first = agent.start.astimezone(zone)
    with DAG(
        dag_id=agent.reconcile_dag_id,
        description=f"Rebates of agent {agent.agent} against its bets, one settlement day a run.",
        doc_md=_reconcile_doc(agent),
        schedule=SliceTimetable(
            slice_cron(timedelta(days=1)),
            timezone=agent.recon.timezone,
            lag=agent.recon.judge_after,
            stop=_last_day_end(agent, zone),
        ),
        start_date=first.replace(hour=0, minute=0, second=0, microsecond=0),
        catchup=True,
        max_active_runs=ACTIVE_RUNS,
        tags=["tieout", agent.provider, "reconciliation", f"agent:{agent.agent}"],
        default_args=_defaults(),
    ) as dag:
        day = f"{{{{ data_interval_start.in_timezone('{agent.recon.timezone}').date().isoformat() }}}}"
        wait = CoverageSensor(
            task_id="wait_for_coverage",
            agent=agent.agent,
            recon=agent.recon,
            day=day,
            mode="reschedule",
            poke_interval=coverage_poke_seconds(),
            timeout=COVERAGE_WAIT.total_seconds(),
            # After six hours the day is judged anyway: pending is an answer.
            soft_fail=True,
            doc_md="Waits until every slice this settlement day needs is certified, suspect or lost (at most 6 h).",
        )
        judge = JudgeDayOperator(
            task_id="judge_day",
            agent=agent.agent,
            recon=agent.recon,
            first_day=first.date(),
            day=day,
            trigger_rule="none_failed",
            doc_md="Judges this settlement day and the two before: `recon.rebates`, `recon.breaks`, `recon.daily`.",
        )
        wait >> judge
    return dag


def _defaults() -> dict[str, object]:
    return {
        "owner": "tieout",
        "retries": RETRIES,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "retry_policy": ErrorRetryPolicy(),
    }


def _last_day_end(agent: Agent, zone: ZoneInfo) -> datetime | None:
    """The last settlement day is the last whole day before the agent's stop."""
    if agent.stop is None:
        return None
    return agent.stop.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def _reach(spec: FeedSpec) -> str:
    return "no limit stated" if spec.reach is None else f"{spec.reach.days} days"


def _feed_doc(feed: AgentFeed) -> str:
    spec = feed.spec
    return f"""\
### {spec.title}, agent `{feed.agent}`

Reads `{spec.endpoint}` (provider document *{spec.document}*) one slice at a time and merges it into
`staging.{spec.table.name}`.

| | |
|---|---|
| slice | {feed.slice_width} |
| read after | the slice's end + {feed.lag} |
| reach of the provider | {_reach(spec)} |
| spacing of calls | {feed.interval.total_seconds():g} s for each merchant, shared by all workers |
| connection | `{feed.conn_id}` |

**Backfill**: *Trigger → Backfill* with any dates. Slices within reach are pulled; older ones are loaded from
landing when it holds them, else they fail at once and say which date is the oldest to be had.

**Is it complete?** `select * from ops.slice_status where feed = '{spec.name}' and agent = '{feed.agent}'`
"""


def _reconcile_doc(agent: Agent) -> str:
    recon = agent.recon
    return f"""\
### Rebates against bets, agent `{agent.agent}`

Every run judges one settlement day (timezone {recon.timezone}) and again the two days before it, {recon.judge_after}
after the day's end. A rebate is `matched`, a `break` (with reasons), `pending` (not yet decidable), `unprovable`
or `failed`.

Results: `recon.daily` (the tie-out), `recon.rebates` (a verdict per rebate), `recon.breaks` (what to look at).
Backfill it for any settlement day; judging twice changes nothing.
"""


_PULL_DOC = """\
Waits for the merchant's quota, signs, calls the provider and stores every answer as it came in landing, the
manifest last. Retries wait as long as the error says; wrong credentials or an unknown code fail at once.
"""

_LOAD_DOC = """\
Decodes the landed reading to exact decimals and merges it into staging in one transaction with its certificate
(`ops.readings`). Rows that break their contract go to `ops.rejects`; the reading is then suspect and this task fails
without retry, the other rows stay.
"""
