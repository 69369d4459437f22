"""Answers as JSON, decoded within bounds: whatever a provider sends, time and memory stay in proportion to its size.

A body of 60 MB may hold 30 million list elements, an unclosed text, a million control characters; each of these makes
an ordinary parser or regular expression take gigabytes or hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tieout.core.errors import ContractBroken, Unreachable
from tieout.core.redaction import redact

#: Rows of one answer; no page of any feed has a tenth of it.
MAX_ROWS = 1_000_000
#: How deep the list of rows lies at most. What is deeper belongs to a row and is not parsed with the page.
ROWS_DEPTH = 3
#: Values of one answer that are no JSON and are marked as such; with more of them it is not worth reading.
MAX_MARKS = 10_000
MAX_SHOWN = 200

# A text that is not closed counts as one up to the end: trying again at each of its quotes would take for ever.
_TEXT = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
# Up to the next sign that matters; inside of a row, its commas do not.
_NEXT_OF_PAGE = re.compile(rb'(?:[^"\[\]{},]++|' + _TEXT + rb")*+([\[\]{},])", re.DOTALL)
_NEXT_OF_ROW = re.compile(rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+([\[\]{}])", re.DOTALL)
_COMMA, _OPENING = b","[0], b"[{"
# Whole texts are matched so that what only looks like a bad value inside of them is left alone.
_TEXT_OR_BAD = re.compile(_TEXT + rb"|-?\bInfinity\b|\bNaN\b", re.DOTALL)
_CONTROL_OR_SURROGATE = re.compile(rb"[\x00-\x1f]|\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.|[\x00-\x1f]",
    re.DOTALL,
)


def decode_envelope(body: bytes, form: type[Any], provider: str) -> Any:
    """Decode an answer's envelope. Raises Unreachable for truncated JSON, ContractBroken for another form.

    A value that is no JSON (NaN, half a surrogate pair) costs its row, not the page: the row keeps it marked with
    NUL, which no contract accepts.
    """
    _check_size(body, provider)
    return _decode(body, form, provider)


def decode_data(data: msgspec.Raw, form: type[Any], provider: str) -> Any:
    """Decode what an envelope holds. Raises as ``decode_envelope`` does."""
    return _decode(bytes(data) or b"null", form, provider)


def _decode(body: bytes, form: type[Any], provider: str) -> Any:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _undocumented(provider, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        marked = _marked(body)
        if marked == body:
            raise _incomplete(provider, body, error) from None
    try:
        return msgspec.json.decode(marked, type=form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _undocumented(provider, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _incomplete(provider, body, error) from None


def message_text(message: object) -> str:
    """Return the beginning of what a provider says in words, without any secret this process knows; "" for nothing."""
    if not isinstance(message, msgspec.Raw):
        return redact(str(message or ""))[:MAX_SHOWN]
    raw = bytes(memoryview(message)[: 20 * MAX_SHOWN])
    try:
        said = msgspec.json.decode(raw)
        text = said if isinstance(said, str) else raw.decode()
    except (ValueError, RecursionError):  # cut off, or bytes that are no text
        text = raw.decode("utf-8", "replace").strip('"')
    return "" if text == "null" else redact(text)[:MAX_SHOWN]


def _undocumented(provider: str, error: Exception | str) -> ContractBroken:
    what = "nested too deep" if isinstance(error, RecursionError) else error
    return ContractBroken(
        f"{provider} answered JSON of an undocumented form: {what}.",
        advice="Compare the answer with the provider's document.",
    )


def _incomplete(provider: str, body: bytes, error: Exception) -> Unreachable:
    return Unreachable(f"{provider} answered {len(body)} bytes that are no complete JSON: {error}.")


def _check_size(body: bytes, provider: str) -> None:
    """Raise ContractBroken when the answer has more rows than any page can have."""
    # Almost every answer is done with here, at the speed of memory.
    if body.count(b",") < MAX_ROWS:
        return
    depth, rows = 0, 0
    token = _NEXT_OF_PAGE.match(body)
    while token:
        kind = body[token.end() - 1]
        if kind == _COMMA:
            rows += 1
            if rows > MAX_ROWS:
                raise _undocumented(provider, f"more than {MAX_ROWS} rows")
        else:
            depth += 1 if kind in _OPENING else -1
        token = (_NEXT_OF_PAGE if depth <= ROWS_DEPTH else _NEXT_OF_ROW).match(body, token.end())


def _marked(body: bytes) -> bytes:
    """Return the body with what is no JSON value marked; unchanged when there is nothing to mark, or too much."""
    pieces: list[bytes] = []
    done = 0
    for start, end, mark in _marks(body):
        pieces += (body[done:start], mark)
        done = end
        if len(pieces) > 2 * MAX_MARKS:
            return body
    return b"".join((*pieces, body[done:]))


def _marks(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    for token in _TEXT_OR_BAD.finditer(body):
        start, end = token.span()
        if body[start : start + 1] != b'"':
            yield start, end, b'"\\u0000%b"' % token[0]
        elif _CONTROL_OR_SURROGATE.search(body, start, end):
            yield from _marks_of_text(body, start, end)


def _marks_of_text(body: bytes, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    for escape in _ESCAPE.finditer(body, start, end):
        length = escape.end() - escape.start()
        if length == 1:
            yield *escape.span(), b"\\u%04x" % escape[0][0]
        elif length == 6:
            yield *escape.span(), b"\\u0000%b" % escape[0][1:]
