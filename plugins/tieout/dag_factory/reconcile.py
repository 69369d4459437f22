"""The DAGs that judge a Lucko agent's rebates: whole settlement days by the clock, and what changed after loads."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG

from tieout.dag_factory.after_loads import dag_after_loads, gathering
from tieout.dag_factory.common import ACTIVE_RUNS, defaults, last_day_end, waiting
from tieout.dag_factory.statements import add_statements
from tieout.feeds import Agent
from tieout.operators import DayCoverageSensor, JudgeDayOperator, RejudgeOperator
from tieout.settings import after_loads_pause
from tieout.timetable import SliceTimetable, slice_cron


def build_reconcile_dag(agent: Agent) -> DAG:
    """Return the DAG of a Lucko agent's settlement days: wait_for_coverage → judge_day → write_statements."""
    zone = ZoneInfo(agent.recon.timezone)
    first = agent.start.astimezone(zone)
    with DAG(
        dag_id=agent.dag_id("reconcile"),
        description=f"Rebates of agent {agent.agent} against its bets, one settlement day a run.",
        doc_md=_reconcile_doc(agent),
        schedule=SliceTimetable(
            slice_cron(timedelta(days=1)),
            timezone=agent.recon.timezone,
            lag=agent.recon.judge_after,
            stop=last_day_end(agent, zone),
        ),
        start_date=first.replace(hour=0, minute=0, second=0, microsecond=0),
        catchup=True,
        max_active_runs=ACTIVE_RUNS,
        tags=["tieout", agent.provider, "reconciliation", f"agent:{agent.agent}"],
        default_args=defaults(),
    ) as dag:
        day = f"{{{{ data_interval_start.in_timezone('{agent.recon.timezone}').date().isoformat() }}}}"
        wait = DayCoverageSensor(
            task_id="wait_for_coverage",
            agent=agent.agent,
            recon=agent.recon,
            day=day,
            **waiting(),
            doc_md="Waits until every slice this settlement day needs is certified, suspect or lost (at most 6 h).",
        )
        judge = JudgeDayOperator(
            task_id="judge_day",
            agent=agent.agent,
            recon=agent.recon,
            first_day=first.date(),
            day=day,
            trigger_rule="none_failed",
            multiple_outputs=True,
            doc_md="Judges this settlement day and the two before: `recon.rebates`, `recon.breaks`, `recon.daily`.",
        )
        wait >> judge
        add_statements(agent, judge, key="statement_days")
    return dag


def build_rejudge_dag(agent: Agent) -> DAG:
    """Return the DAG that judges again what loads have changed: rejudge → write_statements."""
    with dag_after_loads(
        agent,
        "rejudge",
        tag="reconciliation",
        description=f"Rebates of agent {agent.agent} that new bets, restatements or a new coverage may have changed.",
        doc=_rejudge_doc(agent),
    ) as dag:
        judge = RejudgeOperator(
            task_id="rejudge",
            agent=agent.agent,
            recon=agent.recon,
            **gathering(),
            doc_md="Waits for further loads, then judges every rebate whose verdict they may have changed.",
        )
        add_statements(agent, judge, key="statement_days")
    return dag


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


def _rejudge_doc(agent: Agent) -> str:
    return f"""\
### What loads have changed, agent `{agent.agent}`

A load of bets or rebates starts a run, which waits {after_loads_pause()} for further ones and then judges the rebates
that they may have changed: those that name a changed bet, those that share a bet, a wallet transaction or a payment
with them, those that waited for a slice. Other settings in the feeds file make it judge all of them.

The result is the same as judging every day in full. A break that no longer stands is `healed`, with the load that
healed it: `select * from recon.break_events`. Then the statements are written that may say something else, also because
a break was accepted since the last run. **A run failed**: nothing is lost, the next one takes up its loads.
"""
