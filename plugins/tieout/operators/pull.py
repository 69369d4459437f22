"""PullSliceOperator: one time slice of one feed of one agent, from the provider to landing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context, ObjectStoragePath

from tieout.core import ledger
from tieout.core.clock import SystemClock
from tieout.core.errors import located
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota, QuotaKey
from tieout.core.slices import Slice, parse_instant
from tieout.core.warehouse import connect
from tieout.feeds import AgentFeed
from tieout.providers import HOOKS
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

BACKFILL = "backfill"


class PullSliceOperator(BaseOperator):
    """Pull ``[slice_start, slice_end)`` and return the path of its manifest (the only thing XCom carries).

    Waits for the merchant's quota, signs, calls, checks each answer and lands it as it came; the manifest is written
    last. Raises the classed errors of ``tieout.core.errors``.
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

    def execute(self, context: Context) -> str:
        """Pull the slice."""
        declared, clock = self.declared, SystemClock()
        plan = PullPlan(
            feed=declared.spec,
            agent=self.agent,
            slice=Slice(parse_instant(self.slice_start), parse_instant(self.slice_end)),
            options=declared.options,
            interval=declared.interval,
            lag=declared.lag,
            kind=BACKFILL if context["dag_run"].run_type == BACKFILL else "first",
        )
        url = warehouse_url(self.warehouse_conn_id)
        with located(plan.where):
            with connect(url) as connection:
                ledger.declare(connection, [declared.declaration()], {})
            with PostgresQuota(url, clock) as quota:
                hook = HOOKS[self.provider](self.conn_id, clock=clock)
                # Calls the hook makes on its own (a token) are spaced like the feed's.
                hook.wait_for = lambda endpoint: _wait(
                    quota, self.provider, endpoint, hook.merchant_id, declared.interval
                )
                puller = SlicePuller(caller=hook, quota=quota, clock=clock, landing=ObjectStoragePath(self.landing))
                result = puller.pull(plan)
            if isinstance(result, str):
                return result
            path, manifest = result
            with connect(url) as connection:
                ledger.record_landed(connection, manifest, path)
        self.log.info("%s: landed %d rows on %d pages as %s", plan.where, manifest.rows, manifest.page_count, path)
        return path


def _wait(quota: PostgresQuota, provider: str, endpoint: str, merchant_id: str, interval: timedelta) -> None:
    quota.acquire(QuotaKey(provider=provider, endpoint=endpoint, merchant_id=merchant_id), interval)
