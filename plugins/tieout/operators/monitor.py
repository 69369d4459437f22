"""RecordLostOperator: what providers have forgotten before anyone could read it is written down, loudly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from tieout import pages
from tieout.core import coverage, ledger
from tieout.core.errors import FatalError
from tieout.core.warehouse import connect
from tieout.feeds import load_agents, load_alert_settings
from tieout.operators.links import CoverageLink, Links
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

_ORPHAN = " (no longer in the feeds file: declare it there with a stop, so that no slices are expected after it)"


class RecordLostOperator(BaseOperator):
    """Write ``ops.certified`` and ``ops.lost`` and return counts of gaps.

    Raises FatalError in the run that finds a new gap, and only in that one, where no notifier is declared: else the
    alert tells, and a failed task would tell the same once more.
    """

    template_fields: Sequence[str] = ("warehouse_conn_id",)
    operator_extra_links: Links = (CoverageLink(),)
    ui_color = "#fecaca"
    page = pages.coverage()

    def __init__(self, *, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Record what is lost."""
        url = warehouse_url(self.warehouse_conn_id)
        with connect(url) as connection:
            # A DAG that is paused has declared nothing; its slices are expected all the same.
            agents = load_agents()
            declared = [feed.declaration() for agent in agents for feed in agent.feeds]
            ledger.declare(
                connection, declared, {(agent.provider, agent.agent): agent.recon.as_json() for agent in agents}
            )
            names = {(feed.provider, feed.feed, feed.agent) for feed in declared}
        with connect(url) as connection:
            coverage.remember_certified(connection)
        with connect(url) as connection:
            report = coverage.record_lost(connection)
        for what, gaps in (("new", report.new), ("grown", report.grown), ("healed", report.healed)):
            for gap in gaps:
                self.log.warning("%s gap: %s%s", what, gap, "" if gap.name in names else _ORPHAN)
        if report.alarming and not load_alert_settings().notifiers:
            raise FatalError(
                f"lost for good, unless landing or the provider helps: {'; '.join(map(str, report.alarming))}.",
                advice="No certified reading covers this time and the provider has forgotten it; verdicts on rebates "
                "that name bets of it become unprovable. Look why the feed's DAG did not read it (paused, connection, "
                "quota), replay it if landing holds it, or ask the provider for an export. ops.lost keeps the gap.",
            )
        return {name: len(getattr(report, name)) for name in ("gaps", "new", "grown", "healed")}
