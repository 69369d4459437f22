"""Which task gets the next free pull slot: live slices, backfills, revisits and control totals, then repairs.

Inside one DAG Airflow already takes the oldest logical date first, which is the slice nearest to being lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.task.priority_strategy import PriorityWeightStrategy

if TYPE_CHECKING:
    from airflow.models import TaskInstance

LIVE = 40
BACKFILL = 30
REVISIT = 20
REPAIR = 10


class SlicePriority(PriorityWeightStrategy):
    """Weights a task by its DAG and its run: scheduled, manual and asset runs of a feed are live, backfills are not."""

    def get_weight(self, ti: TaskInstance) -> int:
        """Return the weight of the task's class, plus its own weight as a tie-breaker."""
        own = ti.task.priority_weight if ti.task is not None else 1
        return _class_of(getattr(ti, "dag_id", "") or "", getattr(ti, "run_id", "") or "") + min(own, 9)


def _class_of(dag_id: str, run_id: str) -> int:
    # An agent's name may hold underscores, too: only the middle of an id says what the DAG is.
    if dag_id.split("__")[1:2] in (["revisit"], ["control"]):
        return REVISIT
    if dag_id == "tieout__repair":
        return REPAIR
    return BACKFILL if run_id.startswith("backfill__") else LIVE
