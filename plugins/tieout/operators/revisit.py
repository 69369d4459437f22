"""RevisitFeedOperator: what is due of one feed is read again, because providers restate what they have reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from tieout import upkeep
from tieout.feeds import AgentFeed
from tieout.operators.base import new_ingest
from tieout.settings import WAREHOUSE_CONN_ID


class RevisitFeedOperator(BaseOperator):
    """Pull and load every range of the feed that is due, within the time one run may take; return counts.

    Goes on after a range that fails and raises FatalError or RetryLater in the end, naming what is left.
    """

    template_fields: Sequence[str] = ("provider", "feed", "agent", "conn_id", "landing", "warehouse_conn_id")
    ui_color = "#e0e7ff"

    def __init__(
        self, *, declared: AgentFeed, landing: str, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.declared = declared
        self.provider = declared.spec.provider
        self.feed = declared.spec.name
        self.agent = declared.agent
        self.conn_id = declared.conn_id
        self.landing = landing
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Revisit the feed."""
        return upkeep.revisit(new_ingest(self.landing, self.warehouse_conn_id), self.declared)
