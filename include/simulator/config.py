"""What the simulator is told: agents, quotas, activity, clock, faults.

Every dataclass is frozen and checked when built, so a wrong value is named (by its key) before anything
listens. Instants are Unix milliseconds, quota intervals are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from simulator.agents import AGENT_TYPES, DEFAULT_AGENTS, Agent
from simulator.checks import ConfigError, check_types, require
from simulator.fault_spec import FaultSpec

_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """Seconds between two accepted calls of one agent, per endpoint.

    Provider documents: 'Query Bet Records' 5 s, 'Query Rebate Records' 10 s, 'Get Transactions Summary' 1 s,
    bet logs 3 s. JDB publishes none for Action 42 (5 s here) and VertexPlay none for /v2/auth (1 s here).
    """

    lucko_bets: float = 5.0
    lucko_rebates: float = 10.0
    hotroad_summary: float = 1.0
    jdb_daily: float = 5.0
    vertexplay_auth: float = 1.0
    vertexplay_betlogs: float = 3.0

    def __post_init__(self) -> None:
        check_types(self)
        for item in fields(self):
            require(getattr(self, item.name) >= 0, item.name, "must not be negative")


@dataclass(frozen=True, kw_only=True)
class SimConfig:
    """All settings of one simulator; equal settings make equal worlds.

    `activity_from` and `activity_until` (ms): nothing happens before the first or at and after the second.
    `now` freezes the world clock at an instant (ms); otherwise it is the wall clock + `clock_offset_ms`.
    """

    seed: int = 1
    host: str = "127.0.0.1"
    port: int = 8099
    agents: tuple[Agent, ...] = DEFAULT_AGENTS
    quota: Quotas = field(default_factory=Quotas)
    quota_scale: float = 1.0
    quota_allowance_ms: int = 0
    activity_from: int | None = None
    activity_until: int | None = None
    now: int | None = None
    clock_offset_ms: int = 0
    break_share: float = 0.08
    token_seconds: int = 3600
    faults: tuple[FaultSpec, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        require(0 <= self.port <= 65535, "port", "must be between 0 and 65535")
        require(0 <= self.quota_scale <= 1000, "quota_scale", "must be between 0 and 1000")
        require(self.quota_allowance_ms >= 0, "quota_allowance_ms", "must not be negative")
        require(0 <= self.break_share <= 1, "break_share", "must be between 0 and 1")
        require(self.token_seconds >= 1, "token_seconds", "must be at least 1")
        if self.activity_from is not None and self.activity_until is not None:
            require(self.activity_from < self.activity_until, "activity_until", "must be after activity_from")
        names = [(agent.provider, agent.agent_id) for agent in self.agents]
        require(bool(names), "agents", "must name at least one agent")
        require(len(set(names)) == len(names), "agents", "an agent id occurs twice under one provider")
        conns = [self.conn_id(agent) for agent in self.agents]
        require(len(set(conns)) == len(conns), "agents", "a conn_id occurs twice")

    def interval_ms(self, provider: str, endpoint: str) -> float:
        """The enforced spacing of accepted calls, in ms, after `quota_scale`."""
        seconds: float = getattr(self.quota, f"{provider}_{endpoint}")
        return seconds * self.quota_scale * 1000

    def active(self, instant: int) -> bool:
        """True when something may happen at `instant` (ms)."""
        after = self.activity_from is None or instant >= self.activity_from
        return after and (self.activity_until is None or instant < self.activity_until)

    @staticmethod
    def conn_id(agent: Agent) -> str:
        """The Airflow connection id of an agent: its own, else provider and agent id."""
        return agent.conn_id or f"{agent.provider}_{_SLUG.sub('_', agent.agent_id.lower()).strip('_')}"


def parse_instant(value: object, *, key: str) -> int:
    """Unix ms from an integer, a number as text, an ISO 8601 text with an offset, or a datetime from YAML."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return int(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()  # YAML reads a bare day as a date: its UTC midnight
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigError(f"{key}: {value!r} is neither milliseconds nor an ISO 8601 instant") from None
    require(isinstance(value, datetime), key, f"{value!r} is neither milliseconds nor an ISO 8601 instant")
    assert isinstance(value, datetime)
    # PyYAML drops the offset of some timestamps after converting to UTC, so a bare datetime from it is UTC.
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def _build(kind: type[Any], mapping: object, *, key: str) -> Any:
    """A dataclass from a mapping; unknown and missing keys are named."""
    require(isinstance(mapping, Mapping), key, "must be a mapping")
    assert isinstance(mapping, Mapping)
    known = {item.name: item for item in fields(kind)}
    for name in mapping:
        require(name in known, f"{key}.{name}", f"unknown key; known are {', '.join(known)}")
    for name, item in known.items():
        optional = item.default is not MISSING or item.default_factory is not MISSING
        require(optional or name in mapping, f"{key}.{name}", "is missing")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in mapping.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{key}.{error}") from None


def _agents(mapping: object) -> tuple[Agent, ...]:
    require(isinstance(mapping, Mapping), "agents", "must map a provider to a list of agents")
    assert isinstance(mapping, Mapping)
    agents: list[Agent] = []
    for provider, listed in mapping.items():
        require(
            provider in AGENT_TYPES,
            f"agents.{provider}",
            f"unknown provider; known are {', '.join(AGENT_TYPES)}",
        )
        require(isinstance(listed, list), f"agents.{provider}", "must be a list")
        kind = AGENT_TYPES[provider]
        agents += [_build(kind, one, key=f"agents.{provider}[{n}]") for n, one in enumerate(listed)]
    return tuple(agents)


_INSTANTS = ("activity_from", "activity_until", "now")


def config_from_mapping(mapping: Mapping[str, Any]) -> SimConfig:
    """A SimConfig from plain values, as a YAML file or the command line gives them.

    Raises ConfigError naming the key. `agents` maps provider → list, `quota` endpoint → seconds.
    """
    values: dict[str, Any] = dict(mapping)
    known = {item.name for item in fields(SimConfig)}
    for name in values:
        require(name in known, str(name), f"unknown key; known are {', '.join(sorted(known))}")
    for name in _INSTANTS:
        if values.get(name) is not None:
            values[name] = parse_instant(values[name], key=name)
    if "agents" in values:
        values["agents"] = _agents(values["agents"])
    if "quota" in values:
        values["quota"] = _build(Quotas, values["quota"], key="quota")
    if "faults" in values:
        require(isinstance(values["faults"], list), "faults", "must be a list")
        listed = enumerate(values["faults"])
        values["faults"] = tuple(_build(FaultSpec, one, key=f"faults[{n}]") for n, one in listed)
    return SimConfig(**values)


def fault_from_mapping(mapping: object) -> FaultSpec:
    """A FaultSpec from plain values; raises ConfigError naming the key."""
    spec: FaultSpec = _build(FaultSpec, mapping, key="fault")
    return spec


def read_settings(path: Path) -> dict[str, Any]:
    """The plain values of a YAML file; raises ConfigError naming the file."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if loaded is None:
        return {}
    require(isinstance(loaded, dict), str(path), "must hold a mapping")
    assert isinstance(loaded, dict)
    return loaded
