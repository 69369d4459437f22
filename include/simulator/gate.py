"""The gate every provider call passes: identified, then quota, then perhaps a fault, then answered."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import zlib
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Scope

from simulator.clock import WorldClock, wall_ms
from simulator.config import SimConfig
from simulator.faults import Faults
from simulator.faults.base import Call
from simulator.ledger import CallLedger, Key
from simulator.wire import endpoints
from simulator.wire.base import Admitted, Answer, Endpoint, Received, Refused
from simulator.world import World

MAX_BODY = 64 * 1024
ZIP_FROM = 500
"""Smaller answers are not worth compressing."""


class Simulator:
    """One simulated set of providers: world, ledger, faults and endpoints."""

    def __init__(self, config: SimConfig, *, wall: Callable[[], int] = wall_ms) -> None:
        self.config = config
        self.clock = WorldClock(offset_ms=config.clock_offset_ms, frozen_at=config.now, wall=wall)
        self.world = World(config, self.clock)
        self.ledger = CallLedger(interval_ms=config.interval_ms, allowance_ms=config.quota_allowance_ms)
        self.faults = Faults(seed=config.seed, specs=config.faults)
        self.endpoints = endpoints(config, self.world)

    async def call(self, endpoint: Endpoint, received: Received, *, at_ms: float) -> Answer:
        """Answer one call that arrived at `at_ms` (monotonic)."""
        try:
            admitted = endpoint.identify(received)
        except Refused as refused:
            if refused.agent_id is not None:
                self.ledger.rejected((endpoint.provider, endpoint.name, refused.agent_id), wall=received.wall)
            return refused.answer
        key: Key = (endpoint.provider, endpoint.name, admitted.agent_id)
        if not self.ledger.arrive(key, at_ms=at_ms, wall=received.wall):
            return endpoint.throttled()
        proceed = _Once(endpoint, admitted, received)
        hit = self.faults.draw(key)
        if hit is None:
            return await proceed()
        withdraw = partial(self.ledger.withdraw, key, at_ms=at_ms)
        call = Call(
            endpoint=endpoint,
            admitted=admitted,
            received=received,
            world=self.world,
            proceed=proceed,
            withdraw=withdraw,
            reject=partial(withdraw, rejected=True),
        )
        return await self.faults.run(hit, call)

    async def handle(self, endpoint: Endpoint, request: Request) -> Response:
        """The endpoint behind HTTP."""
        arrived = time.monotonic() * 1000
        body = await request.body()
        if len(body) > MAX_BODY:
            return Response(status_code=413)
        received = Received(
            query=request.scope["query_string"].decode("latin-1"),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            client=request.client.host if request.client else "",
            wall=self.clock.wall(),
            now=self.clock.now(),
        )
        answer = await self.call(endpoint, received, at_ms=arrived)
        if answer.reset:
            await _cut(request.scope)
        return await _response(answer, zipped="gzip" in received.headers.get("accept-encoding", ""))


class _Once:
    """The right answer to a call, made in a thread (a day may have to be made first) when first awaited."""

    def __init__(self, endpoint: Endpoint, admitted: Admitted, received: Received) -> None:
        self._make = partial(_answered, endpoint, admitted, received)
        self._answer: Answer | None = None

    async def __call__(self) -> Answer:
        if self._answer is None:
            self._answer = await asyncio.to_thread(self._make)
        return self._answer


def _answered(endpoint: Endpoint, admitted: Admitted, received: Received) -> Answer:
    try:
        return endpoint.answer(admitted, received)
    except Refused as refused:
        return refused.answer


async def _response(answer: Answer, *, zipped: bool) -> Response:
    headers = dict(answer.headers)
    if answer.stream is not None:
        return StreamingResponse(answer.stream(), status_code=answer.status, media_type=answer.media, headers=headers)
    body = answer.body
    if "content-encoding" not in headers:
        headers["vary"] = "accept-encoding"
        if zipped and len(body) >= ZIP_FROM:
            # The quickest level: on a fast network, more would cost more time than it saves.
            body = await asyncio.to_thread(zlib.compress, body, 1, zlib.MAX_WBITS | 16)
            headers["content-encoding"] = "gzip"
    return Response(body, status_code=answer.status, media_type=answer.media, headers=headers)


async def _cut(scope: Scope) -> None:
    """Close the connection with a reset, as a dying peer does."""
    transport: asyncio.Transport | None = scope.get("simulator.transport")
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)
