"""The registry of faults: what may go wrong between a right request and its right answer.

A further fault is one coroutine and one entry in KINDS. A fault is switched by a FaultSpec (which calls, how
often), meets only calls the quota let through, and counts each time it took effect.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from simulator.config import FaultSpec, require
from simulator.ledger import Key
from simulator.wire.base import Admitted, Answer, Endpoint, Received
from simulator.wire.vertexplay import BetLogs, unauthorized
from simulator.world import World
from simulator.world.chance import dice

Outcome = tuple[Answer, bool]
"""The answer to send, and whether the fault took effect."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """One admitted call: `proceed` answers it rightly, `withdraw` gives its quota back."""

    spec: FaultSpec
    endpoint: Endpoint
    admitted: Admitted
    received: Received
    world: World
    proceed: Callable[[], Answer]
    withdraw: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """A kind of fault: name, one line on what it does, and the endpoints it can meet (none named: all)."""

    name: str
    doc: str
    run: Callable[[Context], Awaitable[Outcome]]
    only: frozenset[tuple[str, str]] = frozenset()


async def _throttle(context: Context) -> Outcome:
    context.withdraw()
    return context.endpoint.throttled(), True


async def _http_429(context: Context) -> Outcome:
    context.withdraw()
    wait = {"retry-after": str(math.ceil(context.spec.seconds))}
    return Answer(status=429, body=b"Too Many Requests\n", media="text/plain", headers=wait), True


async def _bad_gateway(context: Context) -> Outcome:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
    return Answer(status=502, body=page, media="text/html"), True


async def _truncated(context: Context) -> Outcome:
    answer = context.proceed()
    return replace(answer, body=answer.body[: len(answer.body) * 3 // 5]), True


async def _hang(context: Context) -> Outcome:
    await asyncio.sleep(context.spec.seconds)
    return context.proceed(), True


async def _reset(context: Context) -> Outcome:
    return Answer(reset=True), True


async def _moved_rows(context: Context) -> Outcome:
    """Only a page with others behind it counts: then a row leaves the window and the next page starts one too
    far.
    """
    answer = context.proceed()
    data = json.loads(answer.body).get("data") or {}
    rows = data.get("transactions", [])
    at = context.received.now
    until = context.world.config.activity_until
    if until is not None:
        at = min(at, until - 1)
    more = data.get("start_index", 0) + len(rows) < data.get("total", 0)
    if not rows or not more or at < int(context.admitted.values["end_time"]):
        return answer, False
    context.world.lucko[context.admitted.agent_id].touch(rows[0]["id"], at=at)
    return answer, True


async def _token_expired(context: Context) -> Outcome:
    assert isinstance(context.endpoint, BetLogs)
    context.withdraw()
    context.endpoint.tokens.revoke(context.received.headers.get("authorization", ""))
    return unauthorized(), True


KINDS: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind(name="throttle", doc="the provider's own frequency code; costs no quota", run=_throttle),
        FaultKind(name="http_429", doc="HTTP 429 with Retry-After: `seconds`; costs no quota", run=_http_429),
        FaultKind(name="bad_gateway", doc="HTTP 502 with an HTML page", run=_bad_gateway),
        FaultKind(name="truncated", doc="HTTP 200 whose JSON stops after three fifths", run=_truncated),
        FaultKind(name="hang", doc="the right answer after `seconds`", run=_hang),
        FaultKind(name="reset", doc="the connection is cut without an answer", run=_reset),
        FaultKind(
            name="moved_rows",
            doc="an order of the page just served is updated and leaves the window being paged",
            run=_moved_rows,
            only=frozenset({("lucko", "bets")}),
        ),
        FaultKind(
            name="token_expired",
            doc="HTTP 401; the token sent is unknown from now on",
            run=_token_expired,
            only=frozenset({("vertexplay", "betlogs")}),
        ),
    )
}


@dataclass(kw_only=True)
class ActiveFault:
    """A switched fault: `left` calls to come (None: by probability), and how often it took effect."""

    id: int
    spec: FaultSpec
    random: Random
    left: int | None
    fired: int = 0

    def wants(self, key: Key) -> bool:
        """True when this fault is to meet the call; draws its chance."""
        wanted = zip((self.spec.provider, self.spec.endpoint, self.spec.agent), key, strict=True)
        only = KINDS[self.spec.name].only
        if any(want is not None and want != got for want, got in wanted) or (only and key[:2] not in only):
            return False
        if self.left is not None:
            return self.left > 0
        return self.random.random() < (self.spec.probability or 0)


class Faults:
    """The faults now switched on, in the order they were added; at most one meets a call."""

    def __init__(self, *, seed: int, specs: tuple[FaultSpec, ...] = ()) -> None:
        self._seed = seed
        self._count = 0
        self._active: list[ActiveFault] = []
        for spec in specs:
            self.add(spec)

    def add(self, spec: FaultSpec) -> ActiveFault:
        """Switch a fault on; raises ConfigError for an unknown kind."""
        require(spec.name in KINDS, "name", f"unknown fault {spec.name!r}; known are {', '.join(KINDS)}")
        self._count += 1
        random = dice(self._seed, "fault", self._count)
        active = ActiveFault(id=self._count, spec=spec, random=random, left=spec.next)
        self._active.append(active)
        return active

    def clear(self, *, fault_id: int | None = None) -> int:
        """Switch one fault or all off and say how many that were."""
        before = len(self._active)
        self._active = [one for one in self._active if fault_id is not None and one.id != fault_id]
        return before - len(self._active)

    def draw(self, key: Key) -> ActiveFault | None:
        """The fault that meets this call; its turn is taken at once, as calls may overlap."""
        for active in self._active:
            if active.wants(key):
                if active.left is not None:
                    active.left -= 1
                return active
        return None

    async def run(self, active: ActiveFault, context: Context) -> Answer:
        """Let the fault meet the call; a fault without effect keeps its turn."""
        answer, fired = await KINDS[active.spec.name].run(context)
        if fired:
            active.fired += 1
        elif active.left is not None:
            active.left += 1
        return answer

    def report(self) -> dict[str, Any]:
        """The kinds there are, and the faults switched on with their counts."""
        active = [{"id": one.id, "left": one.left, "fired": one.fired, **asdict(one.spec)} for one in self._active]
        return {"kinds": {kind.name: kind.doc for kind in KINDS.values()}, "active": active}
