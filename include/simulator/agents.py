"""The simulated agents: merchants of four providers, their credentials and the size of their worlds.

With `hostile_ids` some ids, names and games are texts that careless code stumbles over (`world/texts.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from simulator.checks import check_types, require

_HEX64 = re.compile(r"[0-9a-f]{64}")
PADDINGS = ("space", "nul", "pkcs7")
SIGNATURES = ("pipe", "concat")
BULK_FROM = 5_000
"""Lucko bets per hour; a remembered day of 2,000 bets takes some 4 MB."""


def _check_agent(agent: Any, *, sizes: tuple[str, ...], texts: tuple[str, ...]) -> None:
    check_types(agent)
    for name in texts:
        require(bool(getattr(agent, name)), name, "must not be empty")
    for name in sizes:
        require(1 <= getattr(agent, name) <= 1_000_000, name, "must be between 1 and 1000000")


@dataclass(frozen=True, kw_only=True)
class LuckoAgent:
    """A Lucko merchant: its id and sign key, and the size of its world.

    From BULK_FROM bets per hour on, bets are computed instead of remembered, and there are no rebates.
    """

    provider: ClassVar[str] = "lucko"
    agent_id: str
    sign_key: str
    users: int = 120
    bets_per_hour: int = 60
    ip_whitelist: tuple[str, ...] = ()
    hostile_ids: bool = False
    conn_id: str = ""

    def __post_init__(self) -> None:
        _check_agent(self, sizes=("users", "bets_per_hour"), texts=("agent_id", "sign_key"))

    @property
    def bulk(self) -> bool:
        """True when there are too many bets to remember them."""
        return self.bets_per_hour >= BULK_FROM


@dataclass(frozen=True, kw_only=True)
class HotRoadAgent:
    """A HotRoad agent: Basic credentials and bets per hour."""

    provider: ClassVar[str] = "hotroad"
    agent_id: str
    username: str
    password: str
    bets_per_hour: int = 30
    hostile_ids: bool = False
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
    hostile_ids: bool = False
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
    hostile_ids: bool = False
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
