"""PullSliceOperator: one time slice of one feed of one agent, from the provider to landing."""

from __future__ import annotations

from airflow.sdk import Context

from tieout.ingest import Landed
from tieout.operators.base import SliceOperator

BACKFILL = "backfill"


class PullSliceOperator(SliceOperator):
    """Pull ``[slice_start, slice_end)`` and return the path of its manifest (the only thing XCom carries).

    Waits for the merchant's quota, signs, calls, checks each answer and lands it as it came; the manifest is written
    last. Beyond the provider's reach, returns what landing holds: a path, or a list of paths when it takes several
    readings to cover the slice. Raises the classed errors of ``tieout.core.errors``.
    """

    ui_color = "#dbeafe"

    def execute(self, context: Context) -> Landed:
        """Pull the slice."""
        return self.ingest.pull(
            self.declared,
            self.slice,
            kind=BACKFILL if context["dag_run"].run_type == BACKFILL else "first",
        )
