"""Reads the feeds file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from tieout.core.alerts import AlertSettings
from tieout.core.errors import ConfigError
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.feeds import judging
from tieout.feeds.alerting import alert_settings
from tieout.feeds.declared import Agent, AgentFeed
from tieout.feeds.judging import integrity_settings, recon_settings
from tieout.feeds.node import Node
from tieout.providers import HOOKS, feeds_of
from tieout.settings import feeds_file
from tieout.timetable import slice_cron

AGENT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_AGENT_KEYS = {"provider", "agent", "conn_id", "start", "stop", "currency", "g_types", "feeds", *judging.KEYS}
_FEED_KEYS = {"slice", "lag", "interval", "revisits"}
# Every task reads the whole file: libyaml's loader takes a third of the time, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_agents(path: Path | None = None) -> tuple[Agent, ...]:
    """Return the declared agents, sorted by provider and agent. Raises ConfigError naming file, line and key."""
    file = path or feeds_file()
    return parse_agents(_text(file), str(file))


def load_alert_settings(path: Path | None = None) -> AlertSettings:
    """Return what the file declares about alerts. Raises ConfigError naming file, line and key."""
    file = path or feeds_file()
    return parse_alert_settings(_text(file), str(file))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the feeds file {file} cannot be read: {error.strerror}.",
            advice="Set TIEOUT_FEEDS to your feeds file, or create include/feeds.yaml.",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the feeds file {file} is not UTF-8: {error}.") from error


def parse_agents(text: str, file: str = "feeds.yaml") -> tuple[Agent, ...]:
    """Return the agents declared in YAML *text*; *file* is named in errors. Raises ConfigError."""
    agents: dict[tuple[str, str], Agent] = {}
    for node in _top(text, file)["agents"].items():
        agent = _agent(node)
        if (agent.provider, agent.agent) in agents:
            node.fail(f"{agent.provider} agent {agent.agent!r} is declared twice.")
        agents[agent.provider, agent.agent] = agent
    return tuple(agents[key] for key in sorted(agents))


def parse_alert_settings(text: str, file: str = "feeds.yaml") -> AlertSettings:
    """Return the alert settings declared in YAML *text*; *file* is named in errors. Raises ConfigError."""
    keys = _top(text, file)
    return alert_settings(keys["alerts"]) if "alerts" in keys else AlertSettings()


def _top(text: str, file: str) -> dict[str, Node]:
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}, line {line}: this is no valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: this is no valid YAML: {error}.") from error
    if root is None:
        raise ConfigError(f"{file} is empty.", advice="Declare agents under the key 'agents', or write 'agents: []'.")
    top = Node(file, root)
    keys = top.mapping({"agents", "alerts"})
    if "agents" not in keys:
        top.fail("the key 'agents' is missing.")
    return keys


def _agent(node: Node) -> Agent:
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
        recon=recon_settings(keys, provider),
        integrity=integrity_settings(keys, provider),
    )


def _options(node: Node, keys: dict[str, Node], provider: str) -> FeedOptions:
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


def _feed_overrides(node: Node | None, provider: str) -> Iterator[tuple[FeedSpec, dict[str, Node]]]:
    specs = feeds_of(provider)
    declared = node.mapping({spec.name for spec in specs}) if node is not None else {}
    for spec in specs:
        yield spec, declared[spec.name].mapping(_FEED_KEYS) if spec.name in declared else {}


def _feed(
    spec: FeedSpec,
    keys: dict[str, Node],
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


def _check_slice(node: Node, spec: FeedSpec, width: timedelta) -> None:
    try:
        slice_cron(width, spec.slice_anchor)
    except ValueError as error:
        node.fail(f"{error}.")
    if spec.snapshot and width % spec.max_window:
        node.fail(f"a slice of {spec.id} must be a multiple of {spec.max_window}.")
