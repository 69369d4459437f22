"""Which task gets the next free pull slot: live slices before backfills.

Inside one DAG Airflow already takes the oldest logical date first, which is the slice nearest to being lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.task.priority_strategy import PriorityWeightStrategy

if TYPE_CHECKING:
    from airflow.models import TaskInstance

LIVE = 40
BACKFILL = 30


class SlicePriority(PriorityWeightStrategy):
    """Weights a task by what its run is: scheduled, manual and asset runs are live, backfill runs are not."""

    def get_weight(self, ti: TaskInstance) -> int:
        """Return LIVE or BACKFILL, plus the task's own weight as a tie-breaker."""
        run_id = getattr(ti, "run_id", "") or ""
        own = ti.task.priority_weight if ti.task is not None else 1
        return (BACKFILL if run_id.startswith("backfill__") else LIVE) + min(own, 9)
