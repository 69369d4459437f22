"""Declared agents: ``include/feeds.yaml`` (or ``TIEOUT_FEEDS``) becomes frozen, validated declarations.

Every error names the file, the line and the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import yaml

from tieout.core.errors import ConfigError
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.ledger import DeclaredFeed
from tieout.core.recon.eligibility import Eligibility
from tieout.core.recon.integrity import COMMISSION_OF, IDENTITIES, Commission, IntegritySettings
from tieout.core.recon.settings import ROUNDING_MODES, ReconSettings, Rounding
from tieout.core.slices import parse_instant
from tieout.providers import HOOKS, feeds_of
from tieout.settings import feeds_file
from tieout.timetable import slice_cron

AGENT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")


@dataclass(frozen=True, kw_only=True)
class AgentFeed:
    """One feed of one agent, limits as they hold for it."""

    spec: FeedSpec
    agent: str
    conn_id: str
    start: datetime
    stop: datetime | None
    slice_width: timedelta
    lag: timedelta
    interval: timedelta
    revisits: tuple[timedelta, ...]
    options: FeedOptions

    @property
    def dag_id(self) -> str:
        """``<provider>__<feed>__<agent>``."""
        return f"{self.spec.id}__{self.agent}"

    @property
    def cron(self) -> str:
        """The cron expression of its slices."""
        return slice_cron(self.slice_width, self.spec.slice_anchor)

    def declaration(self) -> DeclaredFeed:
        """Return the row of ops.agents."""
        return DeclaredFeed(
            provider=self.spec.provider,
            agent=self.agent,
            feed=self.spec.name,
            currency=self.options.currency,
            g_types=list(self.options.g_types),
            start_at=self.start,
            stop_at=self.stop,
            slice_width=self.slice_width,
            slice_anchor=self.spec.slice_anchor,
            lag=self.lag,
            reach=self.spec.reach,
        )


@dataclass(frozen=True, kw_only=True)
class Agent:
    """A declared agent: the local key, its connection, its feeds and how its rebates are judged."""

    provider: str
    agent: str
    conn_id: str
    start: datetime
    stop: datetime | None
    feeds: tuple[AgentFeed, ...]
    recon: ReconSettings
    integrity: IntegritySettings

    @property
    def reconcile_dag_id(self) -> str:
        """``<provider>__reconcile__<agent>``."""
        return f"{self.provider}__reconcile__{self.agent}"


@dataclass(frozen=True)
class _Node:
    """A YAML node that remembers where it stands, so that errors can say so."""

    file: str
    node: yaml.Node
    key: str = ""

    def fail(self, message: str) -> NoReturn:
        where = f"{self.file}, line {self.node.start_mark.line + 1}"
        raise ConfigError(f"{where}, key {self.key!r}: {message}" if self.key else f"{where}: {message}")

    def mapping(self, allowed: set[str]) -> dict[str, _Node]:
        if not isinstance(self.node, yaml.MappingNode):
            self.fail("a mapping of keys and values is expected here.")
        found: dict[str, _Node] = {}
        for key_node, value_node in self.node.value:
            name = str(key_node.value)
            child = _Node(self.file, value_node, f"{self.key}.{name}" if self.key else name)
            if name in found:
                child.fail("this key stands here twice.")
            if allowed and name not in allowed:
                child.fail(f"unknown key; allowed are {', '.join(sorted(allowed))}.")
            found[name] = child
        return found

    def items(self) -> Iterator[_Node]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("a list is expected here.")
        for position, child in enumerate(self.node.value):
            yield _Node(self.file, child, f"{self.key}[{position}]")

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value:
            self.fail("a value is expected here.")
        return str(self.node.value)

    def one_of(self, allowed: tuple[str, ...]) -> str:
        value = self.text()
        if value not in allowed:
            self.fail(f"{value!r} is not one of {', '.join(allowed)}.")
        return value

    def duration(self) -> timedelta:
        value = self.text()
        match = _DURATION.fullmatch(value)
        if not match or not any(match.groups()):
            self.fail(f"{value!r} is no duration; write for example 90s, 10min, 1h, 2d or 1h30m.")
        days, hours, minutes, seconds = match.groups()
        try:
            return timedelta(
                days=int(days or 0),
                hours=int(hours or 0),
                minutes=int(minutes or 0),
                milliseconds=int(Decimal(seconds or 0) * 1000),
            )
        except OverflowError:
            self.fail(f"{value!r} is longer than any duration can be.")

    def instant(self) -> datetime:
        value = self.text()
        try:
            return parse_instant(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date or instant; write 2026-01-31 or 2026-01-31T12:00:00Z.")

    def amount(self) -> Decimal:
        value = self.text()
        try:
            amount = Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no amount.")
        if not amount.is_finite() or amount < 0:
            self.fail(f"{value!r} is no finite amount of at least 0.")
        return amount

    def whole(self) -> int:
        value = self.text()
        if not value.isdecimal():
            self.fail(f"{value!r} is no whole number.")
        return int(value)


_AGENT_KEYS = {
    "provider", "agent", "conn_id", "start", "stop", "currency", "g_types", "timezone",
    "rounding", "tolerances", "bet_lookback", "judge_after", "feeds", "activities", "identities", "commission",
}  # fmt: skip
_FEED_KEYS = {"slice", "lag", "interval", "revisits"}


def load_agents(path: Path | None = None) -> tuple[Agent, ...]:
    """Return the declared agents, sorted by provider and agent. Raises ConfigError naming file, line and key."""
    file = path or feeds_file()
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the feeds file {file} cannot be read: {error.strerror}.",
            advice="Set TIEOUT_FEEDS to your feeds file, or create include/feeds.yaml.",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the feeds file {file} is not UTF-8: {error}.") from error
    return parse_agents(text, str(file))


def parse_agents(text: str, file: str = "feeds.yaml") -> tuple[Agent, ...]:
    """Return the agents declared in YAML *text*; *file* is named in errors. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}, line {line}: this is no valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: this is no valid YAML: {error}.") from error
    if root is None:
        raise ConfigError(f"{file} is empty.", advice="Declare agents under the key 'agents', or write 'agents: []'.")
    top = _Node(file, root)
    keys = top.mapping({"agents"})
    if "agents" not in keys:
        top.fail("the key 'agents' is missing.")
    agents: dict[tuple[str, str], Agent] = {}
    for node in keys["agents"].items():
        agent = _agent(node)
        if (agent.provider, agent.agent) in agents:
            node.fail(f"{agent.provider} agent {agent.agent!r} is declared twice.")
        agents[agent.provider, agent.agent] = agent
    return tuple(agents[key] for key in sorted(agents))


def _agent(node: _Node) -> Agent:
    keys = node.mapping(_AGENT_KEYS)
    for name in ("provider", "agent", "conn_id", "start"):
        if name not in keys:
            node.fail(f"the key {name!r} is missing.")
    provider = keys["provider"].one_of(tuple(sorted(HOOKS)))
    name = keys["agent"].text()
    if not AGENT_NAME.fullmatch(name):
        keys["agent"].fail(f"{name!r} must match {AGENT_NAME.pattern}.")
    start = keys["start"].instant()
    stop = keys["stop"].instant() if "stop" in keys else None
    if stop is not None and stop <= start:
        keys["stop"].fail("stop must lie after start.")
    options = _options(node, keys, provider)
    feeds = tuple(
        _feed(spec, overrides, name, keys["conn_id"].text(), start, stop, options)
        for spec, overrides in _feed_overrides(keys.get("feeds"), provider)
    )
    return Agent(
        provider=provider,
        agent=name,
        conn_id=keys["conn_id"].text(),
        start=start,
        stop=stop,
        feeds=feeds,
        recon=_recon(keys),
        integrity=_integrity(keys, provider),
    )


def _options(node: _Node, keys: dict[str, _Node], provider: str) -> FeedOptions:
    required = frozenset[str]().union(*(spec.required_options for spec in feeds_of(provider)))
    for name in ("currency", "g_types"):
        if name in required and name not in keys:
            node.fail(f"the key {name!r} is missing; {provider}'s answers do not tell it.")
        if name in keys and name not in required:
            keys[name].fail(f"{provider} has no use for this key.")
    g_types = tuple(item.text() for item in keys["g_types"].items()) if "g_types" in keys else ()
    if "g_types" in keys and not g_types:
        keys["g_types"].fail("at least one game type must be declared.")
    if len(set(g_types)) != len(g_types):
        keys["g_types"].fail("a game type stands here twice.")
    return FeedOptions(currency=keys["currency"].text() if "currency" in keys else None, g_types=g_types)


def _feed_overrides(node: _Node | None, provider: str) -> Iterator[tuple[FeedSpec, dict[str, _Node]]]:
    specs = feeds_of(provider)
    declared = node.mapping({spec.name for spec in specs}) if node is not None else {}
    for spec in specs:
        yield spec, declared[spec.name].mapping(_FEED_KEYS) if spec.name in declared else {}


def _feed(
    spec: FeedSpec,
    keys: dict[str, _Node],
    agent: str,
    conn_id: str,
    start: datetime,
    stop: datetime | None,
    options: FeedOptions,
) -> AgentFeed:
    width = keys["slice"].duration() if "slice" in keys else spec.slice_width
    if "slice" in keys:
        _check_slice(keys["slice"], spec, width)
    interval = keys["interval"].duration() if "interval" in keys else spec.interval
    if interval <= timedelta(0):
        keys["interval"].fail("the interval between calls must be longer than nothing.")
    return AgentFeed(
        spec=spec,
        agent=agent,
        conn_id=conn_id,
        start=start,
        stop=stop,
        slice_width=width,
        lag=keys["lag"].duration() if "lag" in keys else spec.lag,
        interval=interval,
        revisits=tuple(age.duration() for age in keys["revisits"].items()) if "revisits" in keys else spec.revisits,
        options=options,
    )


def _check_slice(node: _Node, spec: FeedSpec, width: timedelta) -> None:
    try:
        slice_cron(width, spec.slice_anchor)
    except ValueError as error:
        node.fail(f"{error}.")
    if spec.snapshot and width % spec.max_window:
        node.fail(f"a slice of {spec.id} must be a multiple of {spec.max_window}.")


def _recon(keys: dict[str, _Node]) -> ReconSettings:
    found: dict[str, Any] = {}
    if "timezone" in keys:
        found["timezone"] = keys["timezone"].text()
        try:
            ZoneInfo(found["timezone"])
        except (KeyError, ValueError, OSError):
            keys["timezone"].fail(f"{found['timezone']!r} is no timezone of the IANA database.")
    if "tolerances" in keys:
        for name, node in keys["tolerances"].mapping({"turnover", "amount"}).items():
            found[f"{name}_tolerance"] = node.amount()
    if "rounding" in keys:
        found["rounding"] = {currency: _rounding(node) for currency, node in keys["rounding"].mapping(set()).items()}
    for name in ("bet_lookback", "judge_after"):
        if name in keys:
            found[name] = keys[name].duration()
    if "activities" in keys:
        if keys["provider"].text() != "lucko":
            keys["activities"].fail("only lucko has rebates of activities.")
        found["activities"] = {name: _eligibility(node) for name, node in keys["activities"].mapping(set()).items()}
    return ReconSettings(**found)


def _eligibility(node: _Node) -> Eligibility:
    return Eligibility(**{name: _texts(limit) for name, limit in node.mapping({"games", "currencies"}).items()})


def _texts(node: _Node) -> tuple[str, ...]:
    values = tuple(item.text() for item in node.items())
    if not values:
        node.fail("at least one must be named; leave the key out where all are meant.")
    return values


def _integrity(keys: dict[str, _Node], provider: str) -> IntegritySettings:
    found: dict[str, Any] = {}
    if "identities" in keys:
        switched = keys["identities"].mapping(set(IDENTITIES[provider]))
        found["switched_off"] = {name: _texts(node) for name, node in switched.items()}
    if "commission" in keys:
        if "commission" not in IDENTITIES[provider]:
            keys["commission"].fail(f"{provider} reports no commission.")
        found["commission"] = {kind: _commission(node) for kind, node in keys["commission"].mapping(set()).items()}
    return IntegritySettings(**found)


def _commission(node: _Node) -> Commission:
    keys = node.mapping({"rate", "of", "tolerance"})
    if "rate" not in keys:
        node.fail("the key 'rate' is missing: the agreed commission in percent.")
    return Commission(
        rate=keys["rate"].amount(),
        of=keys["of"].one_of(COMMISSION_OF) if "of" in keys else Commission.of,
        tolerance=keys["tolerance"].amount() if "tolerance" in keys else Commission.tolerance,
    )


def _rounding(node: _Node) -> Rounding:
    keys = node.mapping({"places", "mode"})
    places = keys["places"].whole() if "places" in keys else Rounding().places
    if places > 12:
        keys["places"].fail("at most 12 decimal places.")
    return Rounding(places=places, mode=keys["mode"].one_of(ROUNDING_MODES) if "mode" in keys else Rounding().mode)
