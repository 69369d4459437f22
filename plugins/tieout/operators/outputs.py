"""What is made of staging and verdicts: the mart, control totals, and statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator, Context, ObjectStoragePath

from tieout import pages
from tieout.core.errors import located
from tieout.core.recon.control import compare_control, pull_control
from tieout.core.recon.mart import MartSettings, refresh_mart
from tieout.core.recon.statement import StatementOf, write_statement
from tieout.core.recon.statement_due import read_due, take_away
from tieout.ingest import plan_of
from tieout.operators.after_loads import AfterLoads
from tieout.operators.base import SliceOperator
from tieout.operators.links import ControlLink, IntegrityLink, Links, ReconciliationLink
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url


class RefreshMartOperator(AfterLoads):
    """Take what an agent's feeds loaded into mart.turnover_daily and check the rows' identities."""

    template_fields: Sequence[str] = ("provider", "agent", "warehouse_conn_id")
    operator_extra_links: Links = (IntegrityLink(),)
    ui_color = "#e0f2fe"

    def __init__(
        self,
        *,
        provider: str,
        agent: str,
        settings: MartSettings,
        warehouse_conn_id: str = WAREHOUSE_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider = provider
        self.agent = agent
        self.settings = settings
        self.warehouse_conn_id = warehouse_conn_id

    @property
    def page(self) -> str:
        """The agent's rows that contradict themselves."""
        return pages.integrity(provider=self.provider, agent=self.agent)

    def work(self) -> dict[str, Any]:
        """Refresh and return what was done."""
        with located(f"{self.provider} mart agent={self.agent}"):
            summary = refresh_mart(
                warehouse_url(self.warehouse_conn_id), provider=self.provider, agent=self.agent, settings=self.settings
            )
        return {
            "loads": summary.loads,
            "days": [day.isoformat() for day in summary.days],
            "integrity_breaks": summary.integrity_breaks,
        }


class ControlTotalOperator(SliceOperator):
    """Ask the provider for the total of ``[slice_start, slice_end)`` at once and compare it with the staged slices.

    Waits for the merchant's quota like the feed's own calls. Raises the classed errors of ``tieout.core.errors``; a
    difference is an integrity break, not an error.
    """

    operator_extra_links: Links = (ControlLink(),)
    ui_color = "#ffedd5"

    def __init__(self, *, timezone: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.timezone = timezone

    @property
    def page(self) -> str:
        """The agent's control totals of that day."""
        return pages.controls(provider=self.provider, agent=self.agent, days=[self.slice.start.date()])

    def execute(self, context: Context) -> dict[str, Any]:
        """Pull the total, compare it and return how that came out."""
        plan, url = plan_of(self.declared, self.slice), warehouse_url(self.warehouse_conn_id)
        with located(f"{plan.where} control total"):
            with self.ingest.puller(self.declared) as puller:
                path = pull_control(puller, plan)
            summary = compare_control(url, plan.feed, ObjectStoragePath(path), timezone=self.timezone)
        self.log.info("%s: control total %s", plan.where, summary)
        # The day under which it is listed, for its statement.
        day = self.slice.start.astimezone(ZoneInfo(self.timezone)).date()
        figures = {"state": summary.state, "differing": summary.differing, "hours_open": summary.hours_open}
        return {**figures, "days": [day.isoformat()]}


class StatementOperator(BaseOperator):
    """Write the statement and the list of breaks of an agent's days to the landing base; return their paths.

    *days* are ISO dates, or what an earlier task returns; what was noted as due since (an acceptance, a run whose task
    was killed before it could say so, days whose trend shows another figure) is written with them.
    """

    template_fields: Sequence[str] = ("provider", "agent", "days", "landing", "warehouse_conn_id")
    ui_color = "#f1f5f9"

    def __init__(
        self,
        *,
        provider: str,
        agent: str,
        timezone: str,
        landing: str,
        days: Any,
        warehouse_conn_id: str = WAREHOUSE_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider = provider
        self.agent = agent
        self.timezone = timezone
        self.landing = landing
        self.days = days
        self.warehouse_conn_id = warehouse_conn_id
        # Only Lucko's days are reconciled; what is said of the others is which rows contradict themselves.
        self.operator_extra_links = (ReconciliationLink() if provider == "lucko" else IntegrityLink(),)

    @property
    def page(self) -> str:
        """The same days, as they are now."""
        days = [date.fromisoformat(day) for day in self.days or ()]
        if self.provider == "lucko":
            return pages.reconciliation(agent=self.agent, days=days)
        return pages.integrity(provider=self.provider, agent=self.agent, days=days)

    def execute(self, context: Context) -> list[str]:
        """Write both files of every day that is due."""
        url, base, paths = warehouse_url(self.warehouse_conn_id), ObjectStoragePath(self.landing), list[str]()
        with located(f"{self.provider} statements agent={self.agent}"):
            days = [date.fromisoformat(day) for day in self.days]
            due = read_due(url, provider=self.provider, agent=self.agent, base=base, days=days)
        for day in due.days:
            of = StatementOf(provider=self.provider, agent=self.agent, day=day, timezone=self.timezone)
            with located(f"{self.provider} statement agent={self.agent} day={day}"):
                paths += write_statement(url, of, base)
        take_away(url, due)
        self.log.info("%d statement(s): %s", len(due.days), ", ".join(paths[:20]))
        return paths
