"""What every endpoint has in common: a request as received, an answer, and the three steps between them.

Nothing here knows the HTTP server, so endpoints can be tried with plain values.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import msgspec

from simulator.encoding import encode

_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request: raw query, headers with lowercase names, body, caller's address, both clocks (ms)."""

    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    client: str = "127.0.0.1"
    wall: int
    now: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response; `stream` gives its body piece by piece instead; `reset` cuts the connection instead."""

    status: int = 200
    body: bytes = b""
    stream: Callable[[], Iterator[bytes]] | None = None
    media: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A call whose sender is proven: the agent and what it asks, not yet judged."""

    agent_id: str
    values: Mapping[str, Any]


class Refused(Exception):
    """The provider answers with an error; `agent_id` when the call names a known agent."""

    def __init__(self, answer: Answer, *, agent_id: str | None = None) -> None:
        super().__init__(answer.body[:200])
        self.answer = answer
        self.agent_id = agent_id


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Where an answer holds its rows, and the fields of a row without which it is no row (`instant`: if any)."""

    rows_at: tuple[str, ...]
    id: str
    amount: str
    instant: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a call asks about: [start, end) in ms, and the game type where it asks for one."""

    start: int
    end: int
    g_type: str | None = None


class Endpoint(ABC):
    """One provider endpoint: `identify` proves the caller, then quota is judged, then `answer` serves.

    Where it serves rows, it has a `shape`, and the feed is called `provider`_`name`.
    """

    provider: ClassVar[str]
    name: ClassVar[str]
    method: ClassVar[str]
    path: ClassVar[str]
    shape: ClassVar[Shape | None] = None

    @abstractmethod
    def identify(self, received: Received) -> Admitted:
        """The proven caller; raises Refused for everything that is wrong before the quota."""

    @abstractmethod
    def throttled(self) -> Answer:
        """What a call gets that comes too early."""

    @abstractmethod
    def answer(self, admitted: Admitted, received: Received) -> Answer:
        """The response to an admitted call; raises Refused when its parameters are wrong. May run in any thread."""

    def outdated(self, admitted: Admitted, received: Received) -> Answer | None:
        """What this caller gets if its timestamp is too old or too new for `received.wall`; None when it is neither."""
        return None

    def asked(self, admitted: Admitted, received: Received) -> Asked:
        """What a call asks about; raises Refused when its parameters are wrong."""
        raise NotImplementedError


def json_answer(value: object, *, status: int = 200) -> Answer:
    """`value` as compact JSON; Decimals are written as numbers."""
    return Answer(status=status, body=encode(value))


def json_object(text: bytes | str) -> dict[str, Any] | None:
    """The JSON object in `text`, None when it is not one."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None


def query_params(query: str) -> dict[str, str] | None:
    """URL-decoded parameters without the empty ones; None when one occurs twice or is not UTF-8."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="strict")
    except ValueError:
        return None
    if len({key for key, _ in pairs}) != len(pairs):
        return None
    return {key: value for key, value in pairs if value != ""}


def whole(text: object) -> int | None:
    """A non-negative integer written in plain ASCII digits, else None."""
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else None
