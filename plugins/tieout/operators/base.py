"""What the operators share: what they are told, an Ingest over Airflow's connections, and the values of a form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.sdk import BaseOperator, ObjectStoragePath

from tieout import pages
from tieout.core.clock import SystemClock
from tieout.core.errors import ConfigError
from tieout.core.slices import Slice, parse_instant
from tieout.feeds import Agent, AgentFeed
from tieout.ingest import Ingest
from tieout.operators.links import CoverageLink, Links, SliceLink
from tieout.settings import WAREHOUSE_CONN_ID
from tieout.warehouse import warehouse_url


def new_ingest(landing: str, warehouse_conn_id: str = WAREHOUSE_CONN_ID) -> Ingest:
    """Return an Ingest over the warehouse connection and a landing base."""
    return Ingest(url=warehouse_url(warehouse_conn_id), landing=ObjectStoragePath(landing), clock=SystemClock())


class IngestOperator(BaseOperator):
    """An operator that pulls and loads: it knows the landing base and the warehouse's connection."""

    template_fields: Sequence[str] = ("landing", "warehouse_conn_id")

    def __init__(self, *, landing: str, warehouse_conn_id: str = WAREHOUSE_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.landing = landing
        self.warehouse_conn_id = warehouse_conn_id

    @property
    def ingest(self) -> Ingest:
        """What it pulls and loads with."""
        return new_ingest(self.landing, self.warehouse_conn_id)


class FeedOperator(IngestOperator):
    """An operator that reads one declared feed of one agent from its provider."""

    template_fields: Sequence[str] = ("provider", "feed", "agent", "conn_id", *IngestOperator.template_fields)
    operator_extra_links: Links = (CoverageLink(),)

    def __init__(self, *, declared: AgentFeed, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.declared = declared
        self.provider = declared.spec.provider
        self.feed = declared.spec.name
        self.agent = declared.agent
        self.conn_id = declared.conn_id

    @property
    def page(self) -> str:
        """The feed's coverage."""
        return pages.coverage(provider=self.provider, feed=self.feed, agent=self.agent)


class SliceOperator(FeedOperator):
    """A FeedOperator for the slice of its run."""

    template_fields: Sequence[str] = (*FeedOperator.template_fields, "slice_start", "slice_end")
    operator_extra_links: Links = (SliceLink(),)

    def __init__(
        self,
        *,
        slice_start: str = "{{ data_interval_start.isoformat() }}",
        slice_end: str = "{{ data_interval_end.isoformat() }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.slice_start = slice_start
        self.slice_end = slice_end

    @property
    def slice(self) -> Slice:
        """The slice, once its templates are rendered."""
        return Slice(parse_instant(self.slice_start), parse_instant(self.slice_end))

    @property
    def page(self) -> str:
        """The slice with its readings."""
        start = self.slice.start
        return pages.slices(provider=self.provider, feed=self.feed, agent=self.agent, start=start, one=True)


class BatchOperator(IngestOperator):
    """An operator that is mapped over batches: what an earlier task has planned, as plain values."""

    template_fields: Sequence[str] = ("batch", *IngestOperator.template_fields)
    operator_extra_links: Links = (SliceLink(),)

    def __init__(self, *, batch: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    @property
    def range(self) -> Slice:
        """The batch's time."""
        return Slice(parse_instant(self.batch["from"]), parse_instant(self.batch["to"]))

    @property
    def page(self) -> str:
        """The slices of the day on which the batch begins."""
        provider, feed, agent = (self.batch[name] for name in ("provider", "feed", "agent"))
        return pages.slices(provider=provider, feed=feed, agent=agent, start=self.range.start)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which feeds and which time a form asks for; None stands for all of them."""

    provider: str | None
    agent: str | None
    feed: str | None
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Choice:
        """Read the params ``provider``, ``agent``, ``feed``, ``from``, ``to``. Raises ConfigError naming the field."""
        since, until = _instant(params, "from"), _instant(params, "to")
        if since is not None and until is not None and since >= until:
            raise ConfigError(f"param 'to': {params['to']!r} does not lie after 'from', {params['from']!r}.")
        names = {name: params.get(name) or None for name in ("provider", "agent", "feed")}
        return cls(**names, since=since, until=until)

    @property
    def range(self) -> Slice:
        """The time that is asked for, both ends given."""
        assert self.since is not None
        assert self.until is not None
        return Slice(self.since, self.until)

    def select(self, agents: Iterable[Agent]) -> list[AgentFeed]:
        """Return the declared feeds that are asked for. Raises ConfigError naming the field that none agrees with."""
        found = [feed for agent in agents for feed in agent.feeds]
        for name, wanted in (("provider", self.provider), ("agent", self.agent), ("feed", self.feed)):
            known = sorted({_value(feed, name) for feed in found})
            found = [feed for feed in found if wanted in (None, _value(feed, name))]
            if wanted is not None and not found:
                raise ConfigError(
                    f"param {name!r}: {wanted!r} is not declared{_among(known)}.",
                    advice="Declare it in feeds.yaml, or choose another one.",
                )
        return found


def find_feed(agents: Iterable[Agent], *, provider: str, feed: str, agent: str) -> AgentFeed:
    """Return one declared feed. Raises ConfigError when it is not declared any more."""
    return Choice(provider=provider, feed=feed, agent=agent, since=None, until=None).select(agents)[0]


def _instant(params: Mapping[str, Any], name: str) -> datetime | None:
    text = params.get(name)
    if not text:
        return None
    try:
        instant = parse_instant(str(text))
    except ValueError as error:
        raise ConfigError(
            f"param {name!r}: {text!r} is no instant ({error}).", advice="Write 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _value(feed: AgentFeed, name: str) -> str:
    return {"provider": feed.spec.provider, "agent": feed.agent, "feed": feed.spec.name}[name]


def _among(known: list[str]) -> str:
    return f"; declared are {', '.join(known[:20])}" if known else ""
