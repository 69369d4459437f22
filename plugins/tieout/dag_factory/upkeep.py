"""The DAGs that look after all agents: repair, replay, monitor."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from tieout.assets import RELOADED
from tieout.dag_factory.common import EPOCH, HOURLY_RETRIES, defaults
from tieout.feeds import Agent
from tieout.operators import (
    PlanRepairOperator,
    PlanReplayOperator,
    RaiseAlertsOperator,
    RecordLostOperator,
    RepairBatchOperator,
    ReplayBatchOperator,
)
from tieout.priority import SlicePriority
from tieout.providers import FEEDS, HOOKS
from tieout.settings import PULL_POOL, landing_base

#: Repairs may hold so many pull slots: live slices wait for them at most as long as a batch takes.
REPAIRS_AT_ONCE = 2
PROVIDERS = tuple(sorted(HOOKS))
FEED_NAMES = tuple(sorted({spec.name for spec in FEEDS.values()}))
INSTANT = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:?\d{2})?)?$"


def build_repair_dag(agents: tuple[Agent, ...]) -> DAG:
    """Return the hourly DAG that mends what is missing or suspect: plan_repair → repair_batch, one task a batch."""
    with DAG(
        dag_id="tieout__repair",
        description="Slices that are missing or suspect and no run will certify: read again before they are forgotten.",
        doc_md=_REPAIR_DOC,
        schedule="40 * * * *",
        start_date=EPOCH,
        catchup=False,
        max_active_runs=1,
        tags=["tieout", "repairs"],
        default_args=defaults(retries=HOURLY_RETRIES),
        params={
            **_which(agents, required=False),
            "everything": Param(
                False, type="boolean", title="Everything",
                description="Also what an ordinary run would still read, and suspect slices without their pause.",
            ),
            "dry_run": Param(
                False, type="boolean", title="Dry run",
                description="Only say what would be mended, and whether the quotas suffice.",
            ),
        },
    ) as dag:  # fmt: skip
        plan = PlanRepairOperator(task_id="plan_repair", doc_md=_PLAN_REPAIR_DOC)
        RepairBatchOperator.partial(
            task_id="repair_batch",
            landing=landing_base(),
            outlets=[RELOADED],
            pool=PULL_POOL,
            max_active_tis_per_dag=REPAIRS_AT_ONCE,
            # By name: Airflow cannot serialize a strategy object of a mapped task.
            weight_rule=f"{SlicePriority.__module__}.{SlicePriority.__qualname__}",
            map_index_template="{{ task.batch['name'] }}",
            doc_md=_REPAIR_BATCH_DOC,
        ).expand(batch=plan.output)
    return dag


def build_replay_dag(agents: tuple[Agent, ...]) -> DAG:
    """Return the DAG that loads landed readings again: plan_replay → replay_batch, one task a batch of days."""
    with DAG(
        dag_id="tieout__replay",
        description="Readings that landing holds, loaded again without a call: after a loss or a change of tables.",
        doc_md=_REPLAY_DOC,
        schedule=None,
        start_date=EPOCH,
        catchup=False,
        tags=["tieout", "replay"],
        default_args=defaults(retries=HOURLY_RETRIES),
        params={
            **_which(agents, required=True),
            "only_uncertified": Param(
                False, type="boolean", title="Only uncertified",
                description="Leave readings out whose time the ledger knows as certified.",
            ),
        },
    ) as dag:  # fmt: skip
        plan = PlanReplayOperator(task_id="plan_replay", landing=landing_base(), doc_md=_PLAN_REPLAY_DOC)
        ReplayBatchOperator.partial(
            task_id="replay_batch",
            landing=landing_base(),
            outlets=[RELOADED],
            # One at a time and in order: the oldest first, over batches as well.
            max_active_tis_per_dagrun=1,
            map_index_template="{{ task.batch['name'] }}",
            doc_md=_REPLAY_BATCH_DOC,
        ).expand(batch=plan.output)
    return dag


def build_monitor_dag() -> DAG:
    """Return the DAG that writes down what is lost, every quarter of an hour: record_lost."""
    with DAG(
        dag_id="tieout__monitor",
        description="Writes down what is certified and what is lost for good; tells whoever is declared under alerts.",
        doc_md=_MONITOR_DOC,
        schedule="*/15 * * * *",
        start_date=EPOCH,
        catchup=False,
        max_active_runs=1,
        tags=["tieout", "monitor"],
        default_args=defaults(retries=HOURLY_RETRIES),
    ) as dag:
        lost = RecordLostOperator(task_id="record_lost", doc_md=_RECORD_LOST_DOC)
        # Without notifiers a new gap fails the first task; it is in the book of alerts all the same.
        lost >> RaiseAlertsOperator(task_id="raise_alerts", trigger_rule="all_done", doc_md=_RAISE_ALERTS_DOC)
    return dag


def _which(agents: tuple[Agent, ...], *, required: bool) -> dict[str, Param]:
    """The params that say which feeds and which time; only their form is checked here, the rest when a plan is made."""
    every = "" if required else " Empty: all."
    return {
        "provider": _text(required, "Provider", f"The provider.{every}", enum=PROVIDERS),
        "agent": _text(
            required, "Agent", f"The agent's name in the feeds file.{every}",
            examples=sorted({agent.agent for agent in agents}), minLength=1,
        ),
        "feed": _text(False, "Feed", "The feed. Empty: all feeds of the provider.", enum=FEED_NAMES),
        "from": _text(
            required, "From", f"Slices from this instant on, in UTC: 2026-01-31 or 2026-01-31T12:00:00Z.{every}",
            format="date-time", pattern=INSTANT,
        ),
        "to": _text(
            required, "To", f"Slices before this instant, in UTC.{every}", format="date-time", pattern=INSTANT
        ),
    }  # fmt: skip


def _text(required: bool, title: str, description: str, *, enum: tuple[str, ...] = (), **schema: Any) -> Param:
    if enum:
        schema["enum"] = [*enum] if required else [None, *enum]
    if required:
        return Param(type="string", title=title, description=description, **schema)
    return Param(None, type=["null", "string"], title=title, description=description, **schema)


_REPAIR_DOC = """\
### Repair

Every hour, and whenever it is triggered, looks in the ledger (`ops.slice_status`) for slices within the providers'
reach that are not certified and that no ordinary run is about to read:

- **landed** but never loaded for half an hour: loaded, without a call;
- **suspect**: read again, after a pause of one hour that doubles each time, up to a day;
- **missing** although later slices were read. A backfill in the UI leaves such holes: Airflow goes on after the newest
  run. Also what will be forgotten within two days while no run works towards it.

Nearest deadline first, in batches of at most 24 slices of one feed, with the lowest priority for pull slots. The log of
`plan_repair` says whether the quotas suffice in time.

**Trigger it** with params to mend one provider, agent, feed or time, with *everything* to leave nothing to ordinary
runs, with *dry run* to look only. **A batch failed**: it names the slices that are left; the next run takes them up.
"""

_PLAN_REPAIR_DOC = """\
Finds what wants mending, says whether the quotas suffice before it is forgotten (XCom `forecast`), and returns at most
500 batches. A param that is wrong is named; nothing is called.
"""

_REPAIR_BATCH_DOC = """\
Mends the slices of one batch, one after the other, unless they were certified meanwhile or another task is reading
them. One that fails does not stop the others; the task fails in the end and names what is left.
"""

_REPLAY_DOC = """\
### Replay

Loads every reading that landing holds of a time again, the oldest first, without a call to the provider: after rows
were lost, after a table has changed, or for slices that the provider has forgotten. The result is the same rows with
the same instants. It works from landing alone: the ledger may be empty and the agent need not be declared any more.

**Trigger it** with provider, agent and the time; leave *feed* empty for all feeds of the provider. With
*only uncertified*, readings whose time is certified are left out.
"""

_PLAN_REPLAY_DOC = """\
Looks through landing and returns batches of whole days. Fails when landing holds nothing of what was asked for.
"""

_REPLAY_BATCH_DOC = """\
Loads the readings of its days, the oldest first, and returns how many were certified or suspect and what they changed.
A reading that cannot be loaded (damaged files) does not stop the others; the task fails in the end and names it.
"""

_MONITOR_DOC = """\
### Monitor

Every quarter of an hour, writes down what is certified (`ops.certified`, which the pages read), and to `ops.lost` what
no certified reading covers and the provider has forgotten: one row for each gap, as long as it lasts. A **new**
gap is an alert. Where no notifier is declared, the run that finds it fails instead and names agent, feed and time, so
that Airflow's own alerting fires once for it; a gap that merely grows, or heals because it was replayed, is a warning.

**It failed**: nothing will read this time again by itself. Replay it if landing holds it (`tieout__replay`), ask the
provider for an export, and find out why the feed's DAG did not read it in time: `select * from ops.lost`.
"""

_RAISE_ALERTS_DOC = """\
Compares slices, quotas, settlement days and breaks with the thresholds under `alerts` in the feeds file, keeps the book
`ops.alerts` (one row per appearance of a cause) and tells every notifier once of what is new. docs/runbook/ says what
each kind means. It fails when a notifier does, and tells that one again.
"""

_RECORD_LOST_DOC = """\
Writes `ops.certified` from the ledger, compares it with the providers' reach and writes `ops.lost`. Where no
notifier is declared under `alerts`, fails, once, for each new gap; no retry is needed.
"""
