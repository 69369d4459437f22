"""The DAG of one feed of one agent: pull_slice → load_slice, one slice a run."""

from __future__ import annotations

from airflow.sdk import DAG

from tieout.assets import rows_of
from tieout.dag_factory.common import ACTIVE_RUNS, defaults, reach_of
from tieout.feeds import AgentFeed
from tieout.operators import LoadSliceOperator, PullSliceOperator
from tieout.priority import SlicePriority
from tieout.settings import PULL_POOL, landing_base
from tieout.timetable import SliceTimetable

#: Pulls of one DAG at a time, backfills included: more would only wait for the same quota.
PULLS_PER_DAG = 2


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
        default_args=defaults(),
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
            # Not a template: beyond reach it may be a list.
            manifest=pull.output,
            outlets=[rows_of(spec.provider, spec.name, feed.agent)],
            weight_rule=SlicePriority(),
            doc_md=_LOAD_DOC,
        )
        pull >> load
    return dag


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
| reach of the provider | {reach_of(spec)} |
| spacing of calls | {feed.interval.total_seconds():g} s for each merchant, shared by all workers |
| connection | `{feed.conn_id}` |

**Backfill**: *Trigger → Backfill* with any dates. Slices within reach are pulled; older ones are loaded from
landing when it holds them, else they fail at once and say which date is the oldest to be had.

**Is it complete?** `select * from ops.slice_status where feed = '{spec.name}' and agent = '{feed.agent}'`
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
