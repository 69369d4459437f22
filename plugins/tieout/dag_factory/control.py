"""The DAG that compares a day's slices with the provider's own total: wait, control_total, write_statements."""

from __future__ import annotations

from datetime import UTC, timedelta

from airflow.sdk import DAG

from tieout.dag_factory.common import ACTIVE_RUNS, defaults, last_day_end, waiting
from tieout.dag_factory.statements import add_statements
from tieout.feeds import Agent
from tieout.operators import ControlTotalOperator, SliceCoverageSensor
from tieout.priority import SlicePriority
from tieout.settings import PULL_POOL, landing_base
from tieout.timetable import SliceTimetable, slice_cron

#: After a day's end: its hours are read, and most restatements have happened.
LAG = timedelta(hours=12)
DAY = timedelta(days=1)


def build_control_dag(agent: Agent) -> DAG:
    """Return the DAG that asks for one day's total at once and compares it with the day's slices."""
    (feed,) = agent.feeds
    with DAG(
        dag_id=agent.dag_id("control"),
        description=f"The provider's total of a day of agent {agent.agent} against the sum of its slices.",
        doc_md=_doc(agent),
        schedule=SliceTimetable(slice_cron(DAY), lag=LAG, reach=feed.spec.reach, stop=last_day_end(agent, UTC)),
        start_date=agent.start,
        catchup=True,
        max_active_runs=ACTIVE_RUNS,
        tags=["tieout", agent.provider, "control totals", f"agent:{agent.agent}"],
        default_args=defaults(),
    ) as dag:
        wait = SliceCoverageSensor(
            task_id="wait_for_coverage",
            provider=agent.provider,
            agent=agent.agent,
            feed=feed.spec.name,
            **waiting(),
            doc_md="Waits until every slice of the day is certified, suspect or lost (at most 6 h).",
        )
        total = ControlTotalOperator(
            task_id="control_total",
            declared=feed,
            timezone=agent.recon.timezone,
            landing=landing_base(),
            pool=PULL_POOL,
            weight_rule=SlicePriority(),
            trigger_rule="none_failed",
            multiple_outputs=True,
            doc_md="One call for the whole day; the answer lands below `controls/`. A difference is no error.",
        )
        wait >> total
        add_statements(agent, total)
    return dag


def _doc(agent: Agent) -> str:
    return f"""\
### Control totals of agent `{agent.agent}`

Asks the provider once for the total of a whole UTC day, {LAG} after its end, and compares it, game by game and figure
by figure, with the sum of the day's hours as they were read. `select * from recon.control_totals`: `equal`, `differs`
(then `recon.integrity_breaks` says where), or `incomplete`
while an hour has no certificate. Then the statement of the day is written anew.
"""
