"""PullSliceOperator: one time slice of one feed of one agent, from the provider to landing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from tieout.core.slices import Slice, parse_instant
from tieout.feeds import AgentFeed
from tieout.ingest import Landed
from tieout.operators.base import new_ingest
from tieout.settings import WAREHOUSE_CONN_ID

BACKFILL = "backfill"


class PullSliceOperator(BaseOperator):
    """Pull ``[slice_start, slice_end)`` and return the path of its manifest (the only thing XCom carries).

    Waits for the merchant's quota, signs, calls, checks each answer and lands it as it came; the manifest is written
    last. Beyond the provider's reach, returns what landing holds: a path, or a list of paths when it takes several
    readings to cover the slice. Raises the classed errors of ``tieout.core.errors``.
    """

    template_fields: Sequence[str] = (
        "provider", "feed", "agent", "conn_id", "slice_start", "slice_end", "landing", "warehouse_conn_id",
    )  # fmt: skip
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        declared: AgentFeed,
        landing: str,
        slice_start: str = "{{ data_interval_start.isoformat() }}",
        slice_end: str = "{{ data_interval_end.isoformat() }}",
        warehouse_conn_id: str = WAREHOUSE_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.declared = declared
        self.provider = declared.spec.provider
        self.feed = declared.spec.name
        self.agent = declared.agent
        self.conn_id = declared.conn_id
        self.slice_start = slice_start
        self.slice_end = slice_end
        self.landing = landing
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> Landed:
        """Pull the slice."""
        return new_ingest(self.landing, self.warehouse_conn_id).pull(
            self.declared,
            Slice(parse_instant(self.slice_start), parse_instant(self.slice_end)),
            kind=BACKFILL if context["dag_run"].run_type == BACKFILL else "first",
        )
