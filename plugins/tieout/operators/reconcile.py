"""Reconciliation of a Lucko agent: wait for a settlement day's coverage and judge it; judge again what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator, BaseSensorOperator, Context

from tieout.core import ledger
from tieout.core.errors import located
from tieout.core.recon import ReconSettings, judge_days, rejudge
from tieout.core.slices import Slice
from tieout.core.warehouse import connect
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

DAY = timedelta(days=1)
#: A day is judged again with the next two days' runs: late rebates and restatements arrive until then.
JUDGED_AGAIN = 2


class _OfAgent(BaseOperator):
    """What the operators of one agent's reconciliation are told: the agent, its settings, the warehouse."""

    template_fields: Sequence[str] = ("agent", "warehouse_conn_id")

    def __init__(
        self, *, agent: str, recon: ReconSettings, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.agent = agent
        self.recon = recon
        self.warehouse_conn_id = warehouse_conn_id


class CoverageSensor(_OfAgent, BaseSensorOperator):
    """Wait until every slice the settlement day needs is certified, suspect or lost."""

    template_fields: Sequence[str] = ("agent", "day", "warehouse_conn_id")
    ui_color = "#fef3c7"

    def __init__(self, *, day: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day = day

    def poke(self, context: Context) -> bool:
        """Return whether nothing the day needs is still open; log what is."""
        needs = needed_ranges(date.fromisoformat(self.day), self.recon)
        with connect(warehouse_url(self.warehouse_conn_id)) as connection:
            if not ledger.is_declared(
                connection, provider="lucko", agent=self.agent, feeds=[feed for feed, _ in needs]
            ):
                self.log.info("waits for the first pull of each feed: no slices are expected of the agent yet")
                return False
            waiting = ledger.unsettled_slices(connection, provider="lucko", agent=self.agent, needs=needs)
        for slice_ in waiting[:10]:
            self.log.info("waits for %s [%s, %s): %s", slice_.feed, slice_.slice_start, slice_.slice_end, slice_.status)
        if len(waiting) > 10:
            self.log.info("… and for %d more slices", len(waiting) - 10)
        return not waiting


class JudgeDayOperator(_OfAgent):
    """Judge every rebate of the settlement day and of the two days before it, and write their daily figures."""

    template_fields: Sequence[str] = ("agent", "day", "warehouse_conn_id")
    ui_color = "#fae8ff"

    def __init__(self, *, day: str, first_day: date, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day = day
        self.first_day = first_day

    def execute(self, context: Context) -> dict[str, int]:
        """Judge and return the counts by verdict."""
        last = date.fromisoformat(self.day)
        days = [last - DAY * age for age in range(JUDGED_AGAIN + 1)]
        days = [day for day in days if day >= self.first_day] or [last]
        with located(f"lucko reconcile agent={self.agent} day={self.day}"):
            summary = judge_days(
                warehouse_url(self.warehouse_conn_id), agent=self.agent, days=days, settings=self.recon
            )
        return dict(summary.__dict__)


class RejudgeOperator(_OfAgent):
    """Judge the rebates that loads since the last run, other settings or an expired acceptance may have changed."""

    ui_color = "#fae8ff"

    def execute(self, context: Context) -> dict[str, int]:
        """Judge and return the counts by verdict."""
        with located(f"lucko rejudge agent={self.agent}"):
            summary = rejudge(warehouse_url(self.warehouse_conn_id), agent=self.agent, settings=self.recon)
        return dict(summary.__dict__)


def needed_ranges(day: date, recon: ReconSettings) -> list[tuple[str, Slice]]:
    """Return the ranges of the bets and rebates feeds that judging *day* (in the agent's timezone) needs."""
    start = datetime.combine(day, time(), ZoneInfo(recon.timezone))
    end = datetime.combine(day + DAY, time(), ZoneInfo(recon.timezone)) + recon.judge_after
    return [("bets", Slice(start - recon.bet_lookback, end)), ("rebates", Slice(start, end))]
