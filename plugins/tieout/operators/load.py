"""LoadSliceOperator: one landed reading into staging, with its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context, ObjectStoragePath

from tieout import pages
from tieout.assets import rows_of, tell_loaded
from tieout.core.slices import parse_instant
from tieout.operators.base import new_ingest
from tieout.operators.links import Links, SliceLink
from tieout.providers import feed_spec
from tieout.settings import WAREHOUSE_CONN_ID, landing_base


class LoadSliceOperator(BaseOperator):
    """Load the reading whose manifest *manifest* names: decode, COPY, one merge, one transaction with its certificate.

    A list of manifests is loaded one after the other. *slice_start* is for the task's link only. Needs no provider
    connection. Raises SuspectReading (rows kept, no retry) when a reading cannot be certified.
    """

    template_fields: Sequence[str] = ("provider", "feed", "agent", "manifest", "slice_start", "warehouse_conn_id")
    operator_extra_links: Links = (SliceLink(),)
    ui_color = "#dcfce7"

    def __init__(
        self,
        *,
        provider: str,
        feed: str,
        agent: str,
        manifest: Any = "{{ ti.xcom_pull(task_ids='pull_slice') }}",
        slice_start: str = "{{ data_interval_start.isoformat() }}",
        warehouse_conn_id: str = WAREHOUSE_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider = provider
        self.feed = feed
        self.agent = agent
        self.manifest = manifest
        self.slice_start = slice_start
        self.warehouse_conn_id = warehouse_conn_id

    @property
    def page(self) -> str:
        """The slice with its readings."""
        start = parse_instant(self.slice_start)
        return pages.slices(provider=self.provider, feed=self.feed, agent=self.agent, start=start, one=True)

    def execute(self, context: Context) -> dict[str, Any]:
        """Load what was landed and return its certificate's figures."""
        paths = [self.manifest] if isinstance(self.manifest, str) else list(self.manifest)
        ingest = new_ingest(landing_base(), self.warehouse_conn_id)
        certificate = ingest.load(feed_spec(self.provider, self.feed), [ObjectStoragePath(path) for path in paths])
        tell_loaded(self, context, rows_of(self.provider, self.feed, self.agent), certificate.figures())
        return {"reading_id": certificate.reading_id, "state": certificate.state, "rows": certificate.rows}
