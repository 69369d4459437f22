"""What the simulator is told: agents, sizes, quotas, activity, clock.

Every dataclass is frozen and checked when built, so a wrong value is named (by its key) before anything
listens. Instants are Unix milliseconds, quota intervals are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import yaml

_SLUG = re.compile(r"[^a-z0-9]+")
_HEX64 = re.compile(r"[0-9a-f]{64}")
PADDINGS = ("space", "nul", "pkcs7")
SIGNATURES = ("pipe", "concat")


class ConfigError(ValueError):
    """A setting is wrong; the message names its key, and the file where there is one."""


def require(condition: bool, key: str, problem: str) -> None:
    """Raise ConfigError for `key` unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{key}: {problem}")


_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "str": (str,),
    "str | None": (str, type(None)),
    "bool": (bool,),
    "tuple[str, ...]": (tuple,),
}


def _check_types(built: Any) -> None:
    """YAML gives whatever was written; refuse it here by key instead of deep in a generator."""
    for item in fields(built):
        allowed = _TYPES.get(str(item.type))
        value = getattr(built, item.name)
        if allowed is None:
            continue
        wrong_bool = isinstance(value, bool) and bool not in allowed
        require(isinstance(value, allowed) and not wrong_bool, item.name, f"must be {item.type}, not {value!r}")
        if allowed == (tuple,):
            require(all(isinstance(one, str) for one in value), item.name, "must be a list of texts")


def _check_agent(agent: Any, *, sizes: tuple[str, ...], texts: tuple[str, ...]) -> None:
    _check_types(agent)
    for name in texts:
        require(bool(getattr(agent, name)), name, "must not be empty")
    for name in sizes:
        require(1 <= getattr(agent, name) <= 1_000_000, name, "must be between 1 and 1000000")


@dataclass(frozen=True, kw_only=True)
class LuckoAgent:
    """A Lucko merchant: its id and sign key, and the size of its world."""

    provider: ClassVar[str] = "lucko"
    agent_id: str
    sign_key: str
    users: int = 120
    bets_per_hour: int = 60
    ip_whitelist: tuple[str, ...] = ()
    conn_id: str = ""

    def __post_init__(self) -> None:
        _check_agent(self, sizes=("users", "bets_per_hour"), texts=("agent_id", "sign_key"))


@dataclass(frozen=True, kw_only=True)
class HotRoadAgent:
    """A HotRoad agent: Basic credentials and bets per hour."""

    provider: ClassVar[str] = "hotroad"
    agent_id: str
    username: str
    password: str
    bets_per_hour: int = 30
    conn_id: str = ""

    def __post_init__(self) -> None:
        _check_agent(self, sizes=("bets_per_hour",), texts=("agent_id", "username", "password"))
        require(len(self.agent_id) <= 50, "agent_id", "must have at most 50 characters")
        require(":" not in self.username, "username", "must not contain ':' (HTTP Basic)")


@dataclass(frozen=True, kw_only=True)
class JdbAgent:
    """A JDB parent: AES key and IV (at most 16 UTF-8 bytes each), padding, game types with activity."""

    provider: ClassVar[str] = "jdb"
    agent_id: str
    aes_key: str
    iv: str
    dc: str
    padding: str = "space"
    g_types: tuple[str, ...] = ("0", "7", "9", "18")
    users: int = 25
    card_games: bool = True
    conn_id: str = ""

    def __post_init__(self) -> None:
        _check_agent(self, sizes=("users",), texts=("agent_id", "aes_key", "iv", "dc"))
        require(self.padding in PADDINGS, "padding", f"must be one of {', '.join(PADDINGS)}")
        for name in ("aes_key", "iv"):
            require(len(getattr(self, name).encode()) <= 16, name, "must have at most 16 bytes")
        require(
            all(g.isascii() and g.isdigit() for g in self.g_types),
            "g_types",
            "must be numbers written as text",
        )


@dataclass(frozen=True, kw_only=True)
class VertexPlayAgent:
    """A VertexPlay agent: auth secret, 64-hex API key, and the size of its world."""

    provider: ClassVar[str] = "vertexplay"
    agent_id: str
    secret: str
    api_key: str
    signature: str = "pipe"
    users: int = 40
    bets_per_hour: int = 60
    bet_ids: bool = False
    row_cap: int = 5000
    conn_id: str = ""

    def __post_init__(self) -> None:
        _check_agent(self, sizes=("users", "bets_per_hour", "row_cap"), texts=("agent_id", "secret"))
        require(bool(_HEX64.fullmatch(self.api_key)), "api_key", "must be 64 lowercase hex digits")
        require(self.signature in SIGNATURES, "signature", f"must be one of {', '.join(SIGNATURES)}")


Agent = LuckoAgent | HotRoadAgent | JdbAgent | VertexPlayAgent
AGENT_TYPES: dict[str, type[Any]] = {
    kind.provider: kind for kind in (LuckoAgent, HotRoadAgent, JdbAgent, VertexPlayAgent)
}

DEFAULT_AGENTS: tuple[Agent, ...] = (
    LuckoAgent(agent_id="luckodemo", sign_key="demo-lucko-sign-key", conn_id="lucko_demo"),
    HotRoadAgent(
        agent_id="hotroaddemo",
        username="demo-hotroad-key",
        password="demo-hotroad-key",
        conn_id="hotroad_demo",
    ),
    JdbAgent(agent_id="jdbdemo", aes_key="demo-jdb-aes-key", iv="demo-jdb-iv-0000", dc="demo", conn_id="jdb_demo"),
    VertexPlayAgent(
        agent_id="vertexplaydemo",
        secret="demo-vertexplay-secret",
        api_key="de" * 32,
        conn_id="vertexplay_demo",
    ),
)
"""One agent per provider; the credentials are demo values, not anybody's secrets."""


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
        _check_types(self)
        for item in fields(self):
            require(getattr(self, item.name) >= 0, item.name, "must not be negative")


@dataclass(frozen=True, kw_only=True)
class FaultSpec:
    """One switched fault: a kind, how often (`next` N matching calls or a `probability`), and which calls
    match.
    """

    name: str
    next: int | None = None
    probability: float | None = None
    provider: str | None = None
    endpoint: str | None = None
    agent: str | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        _check_types(self)
        if self.next is None and self.probability is None:
            object.__setattr__(self, "next", 1)
        require(self.next is None or self.probability is None, "next", "give next or probability, not both")
        require(self.next is None or self.next >= 1, "next", "must be at least 1")
        require(self.probability is None or 0 < self.probability <= 1, "probability", "must be in (0, 1]")
        require(0 <= self.seconds <= 120, "seconds", "must be between 0 and 120")


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
        _check_types(self)
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
