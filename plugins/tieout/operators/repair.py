"""Repairs: find what is missing or suspect of all declared feeds, then mend it batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from airflow.sdk import BaseOperator, Context

from tieout import pages, upkeep
from tieout.assets import rows_of, tell_loaded
from tieout.core import coverage, ledger
from tieout.core.warehouse import connect
from tieout.feeds import AgentFeed, load_agents
from tieout.operators.base import BatchOperator, Choice, find_feed
from tieout.operators.links import CoverageLink, Links
from tieout.settings import WAREHOUSE_CONN_ID, repair_settle
from tieout.warehouse import warehouse_url

#: Repairs named one by one in the log; the others are counted.
MAX_LOGGED = 50


class PlanRepairOperator(BaseOperator):
    """Return the batches of slices that want mending, nearest deadline first; say whether quota suffices in time.

    The params ``provider``, ``agent``, ``feed``, ``from``, ``to`` narrow it, ``everything`` widens it, ``dry_run``
    returns no batch. Raises ConfigError naming a param that is wrong.
    """

    template_fields: Sequence[str] = ("warehouse_conn_id",)
    operator_extra_links: Links = (CoverageLink(),)
    ui_color = "#fee2e2"

    def __init__(self, *, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.warehouse_conn_id = warehouse_conn_id
        self.page = pages.coverage()

    def execute(self, context: Context) -> list[dict[str, object]]:
        """Plan the repairs."""
        params = context["params"]
        choice = Choice.of(params)
        self.page = pages.coverage(provider=choice.provider, feed=choice.feed, agent=choice.agent)
        feeds, url = choice.select(load_agents()), warehouse_url(self.warehouse_conn_id)
        with connect(url) as connection:
            ledger.declare(connection, [feed.declaration() for feed in feeds], {})
        with connect(url) as connection:
            forecasts = self._forecast(connection, feeds)
            found = [
                (feed, wanted)
                for feed in feeds
                if (
                    wanted := coverage.repairs(
                        connection, feed, since=choice.since, until=choice.until,
                        everything=bool(params["everything"]), settle=repair_settle(),
                    )
                )
            ]  # fmt: skip
        context["ti"].xcom_push("forecast", [forecast.as_json() for forecast in forecasts])
        batches = coverage.plan_batches(found)
        self._tell(found, batches)
        if params["dry_run"]:
            self.log.info("dry run: nothing is mended")
            return []
        return [batch.as_json() for batch in batches]

    def _forecast(self, connection: psycopg.Connection, feeds: Sequence[AgentFeed]) -> list[coverage.Forecast]:
        forecasts = coverage.forecast(connection, feeds)
        if not forecasts:
            self.log.info("every slice within reach is certified, or not due yet")
            return forecasts
        self.log.info("what is open, and whether the quota suffices:\n%s", coverage.forecast_table(forecasts))
        for entry in forecasts:
            if not entry.suffices:
                self.log.error(
                    "%s %s agent=%s: at this spacing %d slice(s) will be forgotten before their turn. Ask the provider "
                    "for a shorter interval or an export, or see what else calls with this merchant's quota.",
                    entry.provider, entry.feed, entry.agent, entry.lost,
                )  # fmt: skip
        return forecasts

    def _tell(
        self, found: Sequence[tuple[AgentFeed, Sequence[coverage.Repair]]], batches: Sequence[coverage.Batch]
    ) -> None:
        lines = [f"{coverage.where(feed)}: {item}" for feed, wanted in found for item in wanted]
        for line in lines[:MAX_LOGGED]:
            self.log.info("%s", line)
        taken = sum(batch.slices for batch in batches)
        self.log.info("%d slice(s) want mending, %d of them now, in %d batches", len(lines), taken, len(batches))


class RepairBatchOperator(BatchOperator):
    """Mend one batch: ``{provider, feed, agent, from, to, name}``; return counts.

    Each slice is looked at again before it is read. One that fails does not stop the others; FatalError or RetryLater
    in the end names what is left.
    """

    ui_color = "#fee2e2"

    def execute(self, context: Context) -> dict[str, int]:
        """Mend the batch."""
        batch = self.batch
        counts = upkeep.repair(
            self.ingest,
            find_feed(load_agents(), provider=batch["provider"], feed=batch["feed"], agent=batch["agent"]),
            self.range,
            everything=bool(context["params"]["everything"]),
            settle=repair_settle(),
        )
        if counts["slices"]:
            tell_loaded(self, context, rows_of(batch["provider"], batch["feed"], batch["agent"]), counts)
        return counts
