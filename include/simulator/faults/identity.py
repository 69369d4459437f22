"""Faults of identification: a right caller is not accepted."""

from __future__ import annotations

from dataclasses import replace

from simulator.faults.base import ROWS, Context, FaultKind
from simulator.wire.base import Answer
from simulator.wire.vertexplay import BetLogs, unauthorized

_STAMPED = (ROWS - {("hotroad", "summary")}) | {("vertexplay", "auth")}


async def _token_expired(context: Context) -> Answer:
    assert isinstance(context.call.endpoint, BetLogs)
    context.call.reject()
    context.call.endpoint.tokens.revoke(context.call.received.headers.get("authorization", ""))
    return unauthorized()


async def _clock_skew(context: Context) -> Answer | None:
    wall = context.call.received.wall + round(context.spec.skew_seconds * 1000)
    refused = context.call.endpoint.outdated(context.call.admitted, replace(context.call.received, wall=wall))
    if refused is not None:
        context.call.reject()
    return refused


KINDS = (
    FaultKind(
        name="token_expired",
        doc="answer only: HTTP 401; the token sent is unknown from now on",
        run=_token_expired,
        only=frozenset({("vertexplay", "betlogs")}),
    ),
    FaultKind(
        name="clock_skew",
        doc="answer only: the timestamp is judged by a clock `skew_seconds` ahead (Lucko 408000, JDB 9005, VP 83)",
        run=_clock_skew,
        only=_STAMPED,
    ),
)
