"""What a kind of fault is, and what it is handed when it meets a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from simulator.fault_spec import FaultSpec
from simulator.wire.base import Admitted, Answer, Endpoint, Received
from simulator.world import World

Target = tuple[str, str]
"""(provider, endpoint)"""

ROWS: frozenset[Target] = frozenset(
    {
        ("lucko", "bets"),
        ("lucko", "rebates"),
        ("hotroad", "summary"),
        ("jdb", "daily"),
        ("vertexplay", "betlogs"),
    }
)
"""The endpoints that serve rows."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One admitted call.

    `proceed` answers it rightly, once however often it is awaited; `withdraw` gives its quota back and counts it as
    throttled, `reject` the same as rejected.
    """

    endpoint: Endpoint
    admitted: Admitted
    received: Received
    world: World
    proceed: Callable[[], Awaitable[Answer]]
    withdraw: Callable[[], None]
    reject: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Context:
    """A call and the fault that meets it; `random` repeats for equal seeds."""

    call: Call
    spec: FaultSpec
    variant: str
    random: Random


Run = Callable[[Context], Awaitable[Answer | None]]
"""The answer to send, None when the fault cannot take effect on this call."""


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """A kind of fault.

    `doc` is one line on what it does, beginning with what it touches; `only` the endpoints it can meet (none named:
    all); `variants` its forms, of which the first is meant when none is asked for, unless `draws`. `changes_world`:
    the truth is another one afterwards.
    """

    name: str
    doc: str
    run: Run
    only: frozenset[Target] = frozenset()
    variants: tuple[str, ...] = ("",)
    draws: bool = False
    changes_world: bool = False

    def variant(self, spec: FaultSpec, random: Random) -> str:
        """The form in which a spec wants this kind, drawn where it leaves the choice."""
        if spec.variant in self.variants:
            return str(spec.variant)
        drawn = spec.variant == "any" or self.draws or spec.several
        return random.choice(self.variants) if drawn else self.variants[0]
