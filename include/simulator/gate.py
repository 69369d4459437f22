"""The gate every provider call passes: identified, then quota, then perhaps a fault, then answered."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from simulator.clock import WorldClock, wall_ms
from simulator.config import SimConfig
from simulator.faults import Context, Faults
from simulator.ledger import CallLedger, Key
from simulator.wire import endpoints
from simulator.wire.base import Admitted, Answer, Endpoint, Received, Refused
from simulator.world import World

MAX_BODY = 64 * 1024


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
        proceed = partial(_answered, endpoint, admitted, received)
        fault = self.faults.draw(key)
        if fault is None:
            return proceed()
        context = Context(
            spec=fault.spec,
            endpoint=endpoint,
            admitted=admitted,
            received=received,
            world=self.world,
            proceed=proceed,
            withdraw=partial(self.ledger.withdraw, key),
        )
        return await self.faults.run(fault, context)

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
        return Response(answer.body, status_code=answer.status, media_type=answer.media, headers=dict(answer.headers))


def _answered(endpoint: Endpoint, admitted: Admitted, received: Received) -> Answer:
    try:
        return endpoint.answer(admitted, received)
    except Refused as refused:
        return refused.answer


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
