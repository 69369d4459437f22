"""Sensors that wait until what a task needs is read: whole slices of one agent's feeds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseSensorOperator, Context

from tieout import pages
from tieout.core import ledger
from tieout.core.recon import ReconSettings
from tieout.core.slices import Slice, parse_instant
from tieout.core.warehouse import connect
from tieout.operators.links import CoverageLink, Links
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

DAY = timedelta(days=1)


class CoverageSensor(BaseSensorOperator):
    """Wait until every slice that meets ``needs`` is certified, suspect or lost."""

    template_fields: Sequence[str] = ("provider", "agent", "warehouse_conn_id")
    operator_extra_links: Links = (CoverageLink(),)
    ui_color = "#fef3c7"

    def __init__(
        self, *, provider: str, agent: str, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.provider = provider
        self.agent = agent
        self.warehouse_conn_id = warehouse_conn_id

    @property
    def needs(self) -> list[tuple[str, Slice]]:
        """The feeds and the ranges of them that must be read."""
        raise NotImplementedError

    @property
    def page(self) -> str:
        """The agent's coverage: what it waits for is to be seen there."""
        return pages.coverage(provider=self.provider, agent=self.agent)

    def poke(self, context: Context) -> bool:
        """Return whether nothing that is needed is still open; log what is."""
        needs = self.needs
        with connect(warehouse_url(self.warehouse_conn_id)) as connection:
            if not ledger.is_declared(
                connection, provider=self.provider, agent=self.agent, feeds=[feed for feed, _ in needs]
            ):
                self.log.info("waits for the first pull of each feed: no slices are expected of the agent yet")
                return False
            waiting = ledger.unsettled_slices(connection, provider=self.provider, agent=self.agent, needs=needs)
        for slice_ in waiting[:10]:
            self.log.info("waits for %s [%s, %s): %s", slice_.feed, slice_.slice_start, slice_.slice_end, slice_.status)
        if len(waiting) > 10:
            self.log.info("… and for %d more slices", len(waiting) - 10)
        return not waiting


class DayCoverageSensor(CoverageSensor):
    """Wait for all that judging the settlement day ``day`` needs of a Lucko agent."""

    template_fields: Sequence[str] = (*CoverageSensor.template_fields, "day")

    def __init__(self, *, recon: ReconSettings, day: str, **kwargs: Any) -> None:
        super().__init__(provider="lucko", **kwargs)
        self.recon = recon
        self.day = day

    @property
    def needs(self) -> list[tuple[str, Slice]]:
        """Bets from the lookback on, rebates of the day, both until the day is judged."""
        return needed_ranges(date.fromisoformat(self.day), self.recon)


class SliceCoverageSensor(CoverageSensor):
    """Wait for one feed's slices in the data interval of the run."""

    template_fields: Sequence[str] = (*CoverageSensor.template_fields, "feed", "slice_start", "slice_end")

    def __init__(
        self,
        *,
        feed: str,
        slice_start: str = "{{ data_interval_start.isoformat() }}",
        slice_end: str = "{{ data_interval_end.isoformat() }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feed = feed
        self.slice_start = slice_start
        self.slice_end = slice_end

    @property
    def needs(self) -> list[tuple[str, Slice]]:
        """The interval itself."""
        return [(self.feed, Slice(parse_instant(self.slice_start), parse_instant(self.slice_end)))]


def needed_ranges(day: date, recon: ReconSettings) -> list[tuple[str, Slice]]:
    """Return the ranges of the bets and rebates feeds that judging *day* (in the agent's timezone) needs."""
    start = datetime.combine(day, time(), ZoneInfo(recon.timezone))
    end = datetime.combine(day + DAY, time(), ZoneInfo(recon.timezone)) + recon.judge_after
    return [("bets", Slice(start - recon.bet_lookback, end)), ("rebates", Slice(start, end))]
