"""The control API under /_sim: truth, calls, clock, faults and changes of the world. It knows no quota.

Instants are Unix ms or ISO 8601; `from` is inclusive, `to` exclusive. A wrong request gets HTTP 400, an
unknown agent 404, both with {"error": ...}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from simulator import truth
from simulator.checks import ConfigError, require
from simulator.config import fault_from_mapping, parse_instant
from simulator.encoding import encode_lines
from simulator.gate import Simulator
from simulator.wire.base import json_answer, json_object
from simulator.world import FEEDS
from simulator.world.chance import DAY
from simulator.world.change import CHANGES

LONGEST = 400 * DAY  # one request's share of work: worlds are made on demand
_CHANGE_KEYS = ("feed", "agent", "from", "to", "share", "seed", "kinds", "at")

Handler = Callable[[Request], Awaitable[object]]


class _NotFound(Exception):
    pass


def _respond(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        status, value = 200, None
        try:
            value = await handler(request)
        except ConfigError as error:
            status, value = 400, {"error": str(error)}
        except _NotFound as error:
            status, value = 404, {"error": str(error)}
        if isinstance(value, Response):
            return value
        return Response(json_answer(value).body, status_code=status, media_type="application/json")

    return respond


def _known(mapping: Mapping[str, Any], keys: Sequence[str]) -> None:
    for name in mapping:
        require(name in keys, name, f"unknown key; known are {', '.join(keys)}")


def _range(params: Mapping[str, Any]) -> tuple[int, int]:
    for name in ("from", "to"):
        require(name in params, name, "is missing")
    start, end = (parse_instant(params[name], key=name) for name in ("from", "to"))
    require(0 <= start < end, "from", "must be before to")
    require(end - start <= LONGEST, "to", "must be at most 400 days after from")
    return start, end


def _feed(params: Mapping[str, Any]) -> str:
    feed = params.get("feed", "")
    require(isinstance(feed, str) and feed in FEEDS, "feed", f"must be one of {', '.join(FEEDS)}")
    return str(feed)


def _kinds(body: Mapping[str, Any], feed: str) -> tuple[str, ...]:
    kinds = body.get("kinds", [])
    known = ", ".join(CHANGES[feed])
    right = isinstance(kinds, list) and all(isinstance(kind, str) and kind in CHANGES[feed] for kind in kinds)
    require(right, "kinds", f"must be a list out of {known}")
    return tuple(kinds)


async def _body(request: Request) -> dict[str, Any]:
    body = json_object(await request.body())
    require(body is not None, "body", "must be a JSON object")
    assert body is not None
    return body


def _lines(chunks: Iterator[Sequence[object]]) -> Iterator[bytes]:
    return (encode_lines(rows) for rows in chunks if rows)


class _Control:
    def __init__(self, simulator: Simulator) -> None:
        self._sim = simulator

    def _state(self) -> dict[str, Any]:
        clock = self._sim.clock
        return {"now": clock.now(), "wall": clock.wall(), "frozen": clock.frozen}

    async def health(self, request: Request) -> object:
        agents: dict[str, list[str]] = {}
        for agent in self._sim.config.agents:
            agents.setdefault(agent.provider, []).append(agent.agent_id)
        return {"status": "ok", "seed": self._sim.config.seed, "agents": agents, **self._state()}

    async def breaks(self, request: Request) -> object:
        params = request.query_params
        start, end = _range(params)
        world = self._sim.world.lucko.get(params.get("agent", ""))
        if world is None:
            raise _NotFound(f"agent: no Lucko agent {params.get('agent', '')!r}")
        return await asyncio.to_thread(truth.breaks, world, start, end)

    async def rows(self, request: Request) -> object:
        params = request.query_params
        feed, agent = _feed(params), params.get("agent", "")
        start, end = _range(params)
        form = params.get("format", "list")
        require(form in ("list", "lines"), "format", "must be list or lines")
        try:
            if form == "lines":
                chunks = self._sim.world.chunks(feed, agent, start, end)
                return StreamingResponse(_lines(chunks), media_type="application/x-ndjson")
            return await asyncio.to_thread(self._sim.world.rows, feed, agent, start, end)
        except KeyError:
            raise _NotFound(f"agent: {feed} has no agent {agent!r}") from None

    async def change(self, request: Request) -> object:
        body = await _body(request)
        _known(body, _CHANGE_KEYS)
        feed, agent = _feed(body), body.get("agent", "")
        start, end = _range(body)
        share, seed = body.get("share", 0.05), body.get("seed", 0)
        number = isinstance(share, int | float) and not isinstance(share, bool)
        require(number and 0 < share <= 1, "share", "must be in (0, 1]")
        require(isinstance(seed, int), "seed", "must be a whole number")
        require(isinstance(agent, str), "agent", "must be a text")
        kinds = _kinds(body, feed)
        at = parse_instant(body["at"], key="at") if "at" in body else self._sim.world.latest()
        change = partial(self._sim.world.change, feed, agent, start, end, share=share, seed=seed, kinds=kinds, at=at)
        try:
            changed = await asyncio.to_thread(change)
        except KeyError:
            raise _NotFound(f"agent: {feed} has no agent {agent!r}") from None
        return {"changed": changed.total(), "kinds": dict(changed), "at": at}

    async def calls(self, request: Request) -> object:
        return self._sim.ledger.report()

    async def get_clock(self, request: Request) -> object:
        return self._state()

    async def set_clock(self, request: Request) -> object:
        body = await _body(request)
        _known(body, ("freeze", "advance_ms", "run"))
        clock = self._sim.clock
        freeze, by_ms = body.get("freeze"), body.get("advance_ms", 0)
        require(isinstance(by_ms, int), "advance_ms", "must be a whole number of ms")
        if body.get("run"):
            clock.run()
        if freeze is not None and freeze is not False:
            clock.freeze(at=None if freeze is True else parse_instant(freeze, key="freeze"))
        clock.advance(by_ms=by_ms)
        return self._state()

    async def get_faults(self, request: Request) -> object:
        return self._sim.faults.report()

    async def add_fault(self, request: Request) -> object:
        active = self._sim.faults.add(fault_from_mapping(await _body(request)))
        return {"id": active.id}

    async def clear_faults(self, request: Request) -> object:
        text = request.query_params.get("id")
        require(text is None or text.isdigit(), "id", "must be a number")
        return {"cleared": self._sim.faults.clear(fault_id=None if text is None else int(text))}


def control_routes(simulator: Simulator) -> list[Route]:
    """The routes of the control API."""
    control = _Control(simulator)
    table: tuple[tuple[str, str, Handler], ...] = (
        ("GET", "/_sim/health", control.health),
        ("GET", "/_sim/truth/breaks", control.breaks),
        ("GET", "/_sim/truth/rows", control.rows),
        ("POST", "/_sim/world/change", control.change),
        ("GET", "/_sim/calls", control.calls),
        ("GET", "/_sim/clock", control.get_clock),
        ("POST", "/_sim/clock", control.set_clock),
        ("GET", "/_sim/faults", control.get_faults),
        ("POST", "/_sim/faults", control.add_fault),
        ("DELETE", "/_sim/faults", control.clear_faults),
    )
    return [Route(path, _respond(handler), methods=[method]) for method, path, handler in table]
