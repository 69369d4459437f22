"""Replays: what landing holds of a time is loaded again, oldest first, without a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from tieout import pages, upkeep
from tieout.assets import rows_of, tell_loaded
from tieout.core import ledger
from tieout.core.errors import ConfigError, FatalError
from tieout.core.feed import FeedSpec
from tieout.core.replay import whole_days
from tieout.core.slices import Slice, parse_instant, stamp
from tieout.core.warehouse import connect
from tieout.feeds import load_agents
from tieout.operators.base import BatchOperator, Choice, new_ingest
from tieout.operators.links import CoverageLink, Links
from tieout.providers import feed_spec, feeds_of
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url

MAX_BATCHES = 500


class PlanReplayOperator(BaseOperator):
    """Return the batches (whole days of one feed) in which landing holds readings of what the params ask for.

    Needs landing only: the ledger may have lost the readings, the agent need not be declared any more. Raises
    FatalError when landing holds nothing, ConfigError naming a param that is wrong.
    """

    template_fields: Sequence[str] = ("landing", "warehouse_conn_id")
    operator_extra_links: Links = (CoverageLink(),)
    ui_color = "#fef9c3"

    def __init__(self, *, landing: str, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.landing = landing
        self.warehouse_conn_id = warehouse_conn_id
        self.page = pages.coverage()

    def execute(self, context: Context) -> list[dict[str, object]]:
        """Plan the replay."""
        params = context["params"]
        choice, ingest = Choice.of(params), new_ingest(self.landing, self.warehouse_conn_id)
        assert choice.provider is not None
        assert choice.agent is not None
        self.page = pages.coverage(provider=choice.provider, feed=choice.feed, agent=choice.agent)
        specs, only_uncertified = _specs(choice), bool(params["only_uncertified"])
        self._declare(choice)
        batches: list[dict[str, object]] = []
        for spec in specs:
            for day in whole_days(choice.range, at_most=MAX_BATCHES // len(specs)):
                readings = upkeep.landed_in(
                    ingest, spec, choice.agent, day, first=choice.range.start, only_uncertified=only_uncertified
                )
                if readings:
                    batches.append(_batch(spec, choice.agent, day, first=choice.range, readings=len(readings)))
        if not batches and not only_uncertified:
            raise FatalError(
                f"landing {self.landing} holds no reading of {choice.provider} "
                f"{', '.join(spec.name for spec in specs)} agent={choice.agent} in {choice.range}.",
                advice="Check 'agent' and the dates, and that TIEOUT_LANDING names the base they were landed in.",
            )
        self.log.info("%d reading(s) in %d batches", sum(int(str(b["readings"])) for b in batches), len(batches))
        return batches

    def _declare(self, choice: Choice) -> None:
        """An empty ledger expects nothing: let it know the feeds first, when they are declared."""
        feeds = [
            feed
            for agent in load_agents()
            if (agent.provider, agent.agent) == (choice.provider, choice.agent)
            for feed in agent.feeds
        ]
        with connect(warehouse_url(self.warehouse_conn_id)) as connection:
            ledger.declare(connection, [feed.declaration() for feed in feeds], {})


class ReplayBatchOperator(BatchOperator):
    """Load the readings of one batch, ``{provider, feed, agent, from, to, first, name}``; return counts."""

    ui_color = "#fef9c3"

    def execute(self, context: Context) -> dict[str, int]:
        """Load the batch."""
        batch = self.batch
        counts = upkeep.replay(
            self.ingest,
            feed_spec(batch["provider"], batch["feed"]),
            batch["agent"],
            self.range,
            first=parse_instant(batch["first"]),
            only_uncertified=bool(context["params"]["only_uncertified"]),
        )
        if counts["certified"]:
            tell_loaded(self, context, rows_of(batch["provider"], batch["feed"], batch["agent"]), counts)
        return counts


def _specs(choice: Choice) -> tuple[FeedSpec, ...]:
    specs = feeds_of(str(choice.provider))
    found = tuple(spec for spec in specs if choice.feed in (None, spec.name))
    if not found:
        raise ConfigError(
            f"param 'feed': {choice.feed!r} is no feed of {choice.provider}; "
            f"it has {', '.join(spec.name for spec in specs)}."
        )
    return found


def _batch(spec: FeedSpec, agent: str, day: Slice, *, first: Slice, readings: int) -> dict[str, object]:
    return {
        "provider": spec.provider, "feed": spec.name, "agent": agent, "from": stamp(day.start), "to": stamp(day.end),
        "first": stamp(first.start), "readings": readings, "name": f"{spec.name} {day}: {readings} readings",
    }  # fmt: skip
