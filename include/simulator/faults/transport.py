"""Faults on the way: no answer, a late one, a cut one, or one from somebody else."""

from __future__ import annotations

import asyncio
import gzip
import math
import zlib
from collections.abc import Iterator
from dataclasses import replace

from simulator.faults.base import Context, FaultKind
from simulator.wire.base import Answer

_HTML = b"<html><head><title>%b</title></head><body><h1>%b</h1></body></html>\n"
_BLOCK = 1 << 20
_GZIP = zlib.MAX_WBITS | 16


async def _throttle(context: Context) -> Answer:
    context.call.withdraw()
    return context.call.endpoint.throttled()


async def _http_429(context: Context) -> Answer:
    context.call.withdraw()
    wait = {"retry-after": str(math.ceil(context.spec.seconds))}
    return Answer(status=429, body=b"Too Many Requests\n", media="text/plain", headers=wait)


async def _bad_gateway(context: Context) -> Answer:
    title = b"502 Bad Gateway"
    return Answer(status=502, body=_HTML % (title, title), media="text/html")


async def _html_200(context: Context) -> Answer:
    title = b"Scheduled maintenance"
    return Answer(body=_HTML % (title, title), media="text/html")


async def _redirect(context: Context) -> Answer:
    return Answer(status=302, headers={"location": context.spec.location})


async def _truncated(context: Context) -> Answer:
    answer = await context.call.proceed()
    return replace(answer, body=answer.body[: len(answer.body) * 3 // 5])


async def _hang(context: Context) -> Answer:
    await asyncio.sleep(context.spec.seconds)
    return await context.call.proceed()


async def _reset(context: Context) -> Answer:
    return Answer(reset=True)


async def _gzip(context: Context) -> Answer:
    answer = await context.call.proceed()
    return replace(answer, body=gzip.compress(answer.body, mtime=0), headers={"content-encoding": "gzip"})


def _plain(size: int) -> Iterator[bytes]:
    """Valid JSON of `size` bytes, nearly all of them spaces; never in memory as a whole."""
    block = b" " * _BLOCK
    yield b"{"
    for start in range(2, size, _BLOCK):
        yield block[: size - start]
    yield b"}"


def _bomb(size: int) -> Iterator[bytes]:
    """The same gzip-encoded, about a thousandth of it on the wire."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    for piece in _plain(size):
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


async def _oversize(context: Context) -> Answer:
    size = context.spec.size
    if context.variant == "bomb":
        return Answer(stream=lambda: _bomb(size), headers={"content-encoding": "gzip"})
    return Answer(stream=lambda: _plain(size))


KINDS = (
    FaultKind(name="throttle", doc="answer only: the provider's own frequency code; costs no quota", run=_throttle),
    FaultKind(name="http_429", doc="answer only: HTTP 429, Retry-After `seconds`; costs no quota", run=_http_429),
    FaultKind(name="bad_gateway", doc="answer only: HTTP 502 with an HTML page", run=_bad_gateway),
    FaultKind(name="html_200", doc="answer only: HTTP 200 with an HTML page", run=_html_200),
    FaultKind(name="redirect", doc="answer only: HTTP 302 to `location`", run=_redirect),
    FaultKind(name="truncated", doc="answer only: HTTP 200 whose JSON stops after three fifths", run=_truncated),
    FaultKind(name="hang", doc="answer only: the right answer after `seconds`", run=_hang),
    FaultKind(name="reset", doc="answer only: the connection is cut without an answer", run=_reset),
    FaultKind(
        name="gzip",
        doc="answer only: the right answer gzip-encoded, whatever its size and whatever the client accepts",
        run=_gzip,
    ),
    FaultKind(
        name="oversize",
        doc="answer only: HTTP 200 with a body of `size` bytes, streamed; `bomb`: gzip-encoded, small on the wire",
        run=_oversize,
        variants=("plain", "bomb"),
    ),
)
