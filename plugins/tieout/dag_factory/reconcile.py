"""The DAG that judges a Lucko agent's settlement days: wait_for_coverage → judge_day."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG

from tieout.dag_factory.common import ACTIVE_RUNS, defaults
from tieout.feeds import Agent
from tieout.operators import CoverageSensor, JudgeDayOperator
from tieout.settings import coverage_poke_seconds
from tieout.timetable import SliceTimetable, slice_cron

COVERAGE_WAIT = timedelta(hours=6)


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
        default_args=defaults(),
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


def _last_day_end(agent: Agent, zone: ZoneInfo) -> datetime | None:
    """The last settlement day is the last whole day before the agent's stop."""
    if agent.stop is None:
        return None
    return agent.stop.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


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
