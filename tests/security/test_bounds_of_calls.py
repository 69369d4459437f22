"""Answers made to exhaust a worker end soon, in little memory, and with a sentence that says what came."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from measured import MEGABYTES, Cost, measure, read_bets
from rogue import Answer, RogueServer, bomb, forever, head, whole

#: Far more than any of these takes, and far less than it would without bounds.
SECONDS = 30.0
CHUNKED = head("Transfer-Encoding: chunked")


def cost_of(rogue: RogueServer, answer: Answer, **limits: float) -> Cost:
    rogue.answer = answer
    cost = measure(read_bets, rogue.url, limits)
    assert cost.megabytes < MEGABYTES, cost
    assert cost.seconds < SECONDS, cost
    return cost


def packed(body: bytes) -> Answer:
    return whole(gzip.compress(body, 1), "Content-Encoding: gzip")


# -- what comes over the wire -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "wbits", "size"), [("gzip", 31, 10**10), ("deflate", 15, 3 * 10**8)])
def test_a_bomb_is_refused_at_the_bound(rogue: RogueServer, encoding: str, wbits: int, size: int) -> None:
    cost = cost_of(rogue, whole(bomb(size, wbits=wbits), f"Content-Encoding: {encoding}"))
    assert cost.error == "Unreachable"
    assert "larger than 67108864 bytes" in cost.message


@pytest.mark.parametrize("encoding", ["gzip, gzip", "deflate, gzip", "br", "zstd", "x" * 100])
def test_an_encoding_that_was_not_asked_for_is_refused(rogue: RogueServer, encoding: str) -> None:
    cost = cost_of(rogue, whole(gzip.compress(bomb(10**10), 1), f"Content-Encoding: {encoding}"))
    assert cost.error == "Unreachable"
    assert f"in the encoding {encoding[:40]!r}, which was not asked for" in cost.message
    assert b"\r\nAccept-Encoding: gzip, deflate\r\n" in rogue.requests[0]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a body without end", forever(head(), b"x" * 65536)),
        ("chunks without end", forever(CHUNKED, b"8000\r\n" + b"x" * 0x8000 + b"\r\n")),
        ("a chunk's size without end", forever(CHUNKED, b"0" * 65536)),
        ("a chunk's extension without end", forever(CHUNKED + b"1;", b"x" * 65536)),
        ("a trailer without end", forever(CHUNKED + b"0\r\nX: ", b"x" * 65536)),
    ],
)
def test_what_never_ends_is_given_up_at_the_bound(rogue: RogueServer, name: str, answer: Answer) -> None:
    cost = cost_of(rogue, answer)
    assert cost.error == "Unreachable", name
    assert "is larger than" in cost.message or "no complete answer from" in cost.message, cost


@pytest.mark.parametrize(
    "answer",
    [
        forever(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
        forever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        forever(b"HTTP/1.1 ", b"2" * 65536),
    ],
)
def test_a_head_without_end_is_given_up(rogue: RogueServer, answer: Answer) -> None:
    cost = cost_of(rogue, answer)
    assert cost.error == "Unreachable"
    assert "no complete answer from" in cost.message


# -- how long it takes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start", "piece"),
    [
        ("the body", head("Content-Length: 100000"), b"x"),
        ("chunks", CHUNKED, b"1\r\nx\r\n"),
        ("the head", b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        ("headers", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        ("interim answers", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("trailers", CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
)
def test_a_drip_ends_with_the_calls_time(rogue: RogueServer, name: str, start: bytes, piece: bytes) -> None:
    """Every piece comes within the time between bytes; only the time of the whole call runs out."""
    cost = cost_of(rogue, rogue.drip(start, piece, 0.05), read_timeout=5, total_timeout=0.6)
    assert cost.error == "Unreachable", name
    assert "did not end within 0.6 s" in cost.message
    assert cost.seconds < 10


def test_interim_answers_without_end_are_given_up(rogue: RogueServer) -> None:
    cost = cost_of(rogue, forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), total_timeout=1)
    assert cost.error == "Unreachable"
    assert cost.seconds < 10


# -- what the JSON holds ----------------------------------------------------------------------------------------


# Made when they are needed: together they would fill the memory of the test run.
JSON: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "zeros": (lambda: rows(b"0," * 30_000_000, b"0"), "ContractBroken", "more than 1000000 rows"),
    "many rows": (lambda: rows(b"{}," * 25_000, b"{}"), "ContractBroken", "25001 rows on one page"),
    "deep": (lambda: nested(10_000_000), "ContractBroken", "nested too deep"),
    "message": (lambda: message(b"[" + b"[]," * 9_000_000 + b"0]"), "ContractBroken", "more than 1000000 rows"),
    "deep message": (lambda: message(b"[" * 900 + b"]" * 900), "FatalError", "code '1'"),
    "long text": (lambda: data(b'"' + b"x" * 20_000_000 + b'", NaN'), "Unreachable", "no complete JSON"),
    "open text": (lambda: data(b'"' + b'\\"' * 6_000_000), "Unreachable", "no complete JSON"),
    "controls": (lambda: data(b'"' + b"\1" * 20_000_000 + b'"'), "Unreachable", "no complete JSON"),
    "numbers": (lambda: rows(b"NaN," * 900_000, b"0"), "Unreachable", "no complete JSON"),
    "total": (lambda: data(b'{"transactions":[],"total":' + b"9" * 4000 + b"}"), "ContractBroken", "$.total"),
    "code": (lambda: b'{"code":"' + b"7" * 60_000_000 + b'"}', "FatalError", "undocumented code '7777"),
}


def rows(*pieces: bytes) -> bytes:
    return data(b'{"transactions":[' + b"".join(pieces) + b"]}")


def data(held: bytes) -> bytes:
    return b'{"code":200,"data":' + held + b"}"


def nested(depth: int) -> bytes:
    return data(b"[" * depth + b"]" * depth)


def message(said: bytes) -> bytes:
    return b'{"code":1,"message":' + said + b"}"


@pytest.mark.parametrize("name", JSON)
def test_json_that_would_take_many_times_its_size(rogue: RogueServer, name: str) -> None:
    body, error, says = JSON[name]
    cost = cost_of(rogue, packed(body()))
    assert cost.error == error, cost
    assert says in cost.message
    assert len(cost.message) < 1000
