"""LoadSliceOperator: one landed reading into staging, with its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context, ObjectStoragePath

from tieout.core.errors import located
from tieout.core.load import load_reading
from tieout.providers import feed_spec
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url


class LoadSliceOperator(BaseOperator):
    """Load the reading whose manifest *manifest* names: decode, COPY, one merge, one transaction with its certificate.

    Needs no provider connection. Raises SuspectReading (rows kept, no retry) when the reading cannot be certified.
    """

    template_fields: Sequence[str] = ("provider", "feed", "agent", "manifest", "warehouse_conn_id")
    ui_color = "#dcfce7"

    def __init__(
        self,
        *,
        provider: str,
        feed: str,
        agent: str,
        manifest: str = "{{ ti.xcom_pull(task_ids='pull_slice') }}",
        warehouse_conn_id: str = WAREHOUSE_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider = provider
        self.feed = feed
        self.agent = agent
        self.manifest = manifest
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the reading and return its certificate's figures."""
        path = ObjectStoragePath(self.manifest)
        with located(f"{self.provider} {self.feed} agent={self.agent} manifest={self.manifest}"):
            certificate = load_reading(
                warehouse_url(self.warehouse_conn_id), feed_spec(self.provider, self.feed), path, path.parent
            )
        return {"reading_id": certificate.reading_id, "state": certificate.state, "rows": certificate.rows}
