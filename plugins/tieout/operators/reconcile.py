"""Reconciliation of a Lucko agent: judge a settlement day, judge again what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context

from tieout import pages
from tieout.core.errors import located
from tieout.core.recon import ReconSettings, judge_days, rejudge
from tieout.operators.after_loads import AfterLoads
from tieout.operators.links import Links, ReconciliationLink
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

DAY = timedelta(days=1)
#: A day is judged again with the next two days' runs: late rebates and restatements arrive until then.
JUDGED_AGAIN = 2


class _OfAgent(BaseOperator):
    """What the operators of one agent's reconciliation are told: the agent, its settings, the warehouse."""

    template_fields: Sequence[str] = ("agent", "warehouse_conn_id")
    operator_extra_links: Links = (ReconciliationLink(),)
    #: The days it has written, once it has.
    judged: Sequence[date] = ()

    def __init__(
        self, *, agent: str, recon: ReconSettings, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.agent = agent
        self.recon = recon
        self.warehouse_conn_id = warehouse_conn_id

    @property
    def page(self) -> str:
        """The agent's tie-out of the days that were judged."""
        return pages.reconciliation(agent=self.agent, days=self.judged)


class JudgeDayOperator(_OfAgent):
    """Judge every rebate of the settlement day and of the two days before it, and write their daily figures."""

    template_fields: Sequence[str] = ("agent", "day", "warehouse_conn_id")
    ui_color = "#fae8ff"

    def __init__(self, *, day: str, first_day: date, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day = day
        self.first_day = first_day

    def execute(self, context: Context) -> dict[str, Any]:
        """Judge and return the counts by verdict, and the days written."""
        last = date.fromisoformat(self.day)
        days = [last - DAY * age for age in range(JUDGED_AGAIN + 1)]
        self.judged = days = [day for day in days if day >= self.first_day] or [last]
        with located(f"lucko reconcile agent={self.agent} day={self.day}"):
            summary = judge_days(
                warehouse_url(self.warehouse_conn_id), agent=self.agent, days=days, settings=self.recon
            )
        return summary.as_json()


class RejudgeOperator(_OfAgent, AfterLoads):
    """Judge the rebates that loads since the last run, other settings or an expired acceptance may have changed."""

    ui_color = "#fae8ff"

    def work(self) -> dict[str, Any]:
        """Judge and return the counts by verdict, and the days written."""
        with located(f"lucko rejudge agent={self.agent}"):
            summary = rejudge(warehouse_url(self.warehouse_conn_id), agent=self.agent, settings=self.recon)
        self.judged = summary.days
        return summary.as_json()
