"""Faults inside a right answer: rows that are missing, repeated, strange or broken. The world stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from simulator.encoding import decode, encode
from simulator.faults.base import ROWS, Context, FaultKind
from simulator.wire.base import Answer, Endpoint, Shape

Level = dict[str, msgspec.Raw]
_LEVEL = msgspec.json.Decoder(Level)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A right answer taken apart: the objects around its rows, from the outside in, and the rows as raw JSON."""

    answer: Answer
    shape: Shape
    levels: tuple[Level, ...]
    rows: list[msgspec.Raw]

    @classmethod
    def of(cls, endpoint: Endpoint, answer: Answer) -> Opened | None:
        """The parts of `answer`; None when it is an error and has no rows."""
        shape = endpoint.shape
        if shape is None:
            return None
        levels: list[Level] = []
        inner = msgspec.Raw(answer.body)
        for name in shape.rows_at:
            levels.append(_LEVEL.decode(inner))
            if name not in levels[-1]:
                return None
            inner = levels[-1][name]
        return cls(answer=answer, shape=shape, levels=tuple(levels), rows=_LIST.decode(inner))

    @property
    def total(self) -> int | None:
        """The control total, None when the answer has none."""
        found = self.levels[-1].get("total")
        return None if found is None else int(bytes(found))

    def closed(self, rows: list[msgspec.Raw], **bend: object) -> Answer:
        """The answer with other rows; `bend` replaces what stands beside the rows, None leaves it out."""
        levels = [dict(level) for level in self.levels]
        for name, value in bend.items():
            if value is None:
                levels[-1].pop(name, None)
            else:
                levels[-1][name] = msgspec.Raw(encode(value))
        inner = msgspec.Raw(encode(rows))
        for level, name in zip(reversed(levels), reversed(self.shape.rows_at), strict=True):
            level[name] = inner
            inner = msgspec.Raw(encode(level))
        return replace(self.answer, body=bytes(inner))


async def _open(context: Context) -> Opened | None:
    """The right answer taken apart, None when it has no row a fault could touch."""
    opened = Opened.of(context.call.endpoint, await context.call.proceed())
    return opened if opened is not None and opened.rows else None


def _chosen(context: Context, opened: Opened) -> list[int]:
    """Positions of the spec's share of the rows, at least one."""
    count = max(1, round(len(opened.rows) * context.spec.share))
    return sorted(context.random.sample(range(len(opened.rows)), count))


async def _late_rows(context: Context) -> Answer | None:
    opened = await _open(context)
    if opened is None:
        return None
    withheld = set(_chosen(context, opened))
    rows = [row for n, row in enumerate(opened.rows) if n not in withheld]
    bend = {} if opened.total is None else {"total": opened.total - len(withheld)}
    return opened.closed(rows, **bend)


async def _dropped_total(context: Context) -> Answer | None:
    opened = Opened.of(context.call.endpoint, await context.call.proceed())
    return None if opened is None or opened.total is None else opened.closed(opened.rows, total=None)


def _other_amount(row: msgspec.Raw, field: str) -> msgspec.Raw:
    """The row with another amount, written in the same way."""
    value = decode(row)[field]
    other = str(Decimal(value) + 1) if isinstance(value, str) else value + 1
    return _with(row, {field: encode(other)})


def _with(row: msgspec.Raw, values: Mapping[str, bytes | None]) -> msgspec.Raw:
    """The row with these fields' JSON text replaced, or left out (None); the others keep theirs to the letter."""
    fields = dict(_LEVEL.decode(row))
    for name, text in values.items():
        if text is None:
            fields.pop(name, None)
        else:
            fields[name] = msgspec.Raw(text)
    return msgspec.Raw(encode(fields))


async def _duplicate_rows(context: Context) -> Answer | None:
    opened = await _open(context)
    if opened is None:
        return None
    rows = list(opened.rows)
    for n in reversed(_chosen(context, opened)):
        again = rows[n] if context.variant == "same" else _other_amount(rows[n], opened.shape.amount)
        rows.insert(n + 1, again)
    return opened.closed(rows)


_UNKNOWN: dict[str, Any] = {
    "vipLevel": 7,
    "agent": "somebody",
    "extra": {"note": "…", "load_id": -1},
    "客服备注": "加急 🎲",
    "device": {"os": "other", "screens": [{"w": 390, "h": 844, "tags": [None, True, "x"]}, []], "ratio": 0.1},
    "exact": Decimal("12345678901234567890.123456789012345678"),
    "": "no name",
}


async def _unknown_fields(context: Context) -> Answer | None:
    opened = await _open(context)
    if opened is None:
        return None
    rows = list(opened.rows)
    for n in _chosen(context, opened):
        names = context.random.sample(list(_UNKNOWN), context.random.randrange(1, len(_UNKNOWN) + 1))
        rows[n] = _with(rows[n], {name: encode(_UNKNOWN[name]) for name in names})
    return opened.closed(rows)


def _text_with(row: msgspec.Raw, field: str, ending: bytes) -> dict[str, bytes | None]:
    """The field's text with `ending` (JSON text) put behind it."""
    return {field: encode(str(decode(row)[field]))[:-1] + ending + b'"'}


Malform = Callable[[msgspec.Raw, Shape, Random], dict[str, bytes | None]]
MALFORMS: dict[str, Malform] = {
    "wrong_type": lambda row, shape, random: {random.choice((shape.id, shape.amount)): b'{"value": [1]}'},
    "text_for_amount": lambda row, shape, random: {shape.amount: b'"twelve"'},
    "missing_field": lambda row, shape, random: {random.choice((shape.id, shape.amount)): None},
    "null_field": lambda row, shape, random: {random.choice((shape.id, shape.amount)): b"null"},
    "nan": lambda row, shape, random: {shape.amount: b"NaN"},
    "infinity": lambda row, shape, random: {shape.amount: b"-Infinity"},
    "infinity_text": lambda row, shape, random: {shape.amount: b'"Infinity"'},
    "huge_amount": lambda row, shape, random: {shape.amount: b"1e999999"},
    "long_amount": lambda row, shape, random: {shape.amount: b"9" * 400},
    "empty_id": lambda row, shape, random: {shape.id: b'""'},
    "long_id": lambda row, shape, random: _text_with(row, shape.id, b"x" * 300),
    "nul_text": lambda row, shape, random: _text_with(row, shape.id, b"\\u0000"),
    "lone_surrogate": lambda row, shape, random: _text_with(row, shape.id, b"\\ud83d"),
    "negative_instant": lambda row, shape, random: {shape.instant: b"-1"},
    "far_instant": lambda row, shape, random: {shape.instant: b"99999999999999999"},
    "text_instant": lambda row, shape, random: {shape.instant: b'"2026-13-45T99:00:00.000Z"'},
}
"""How a row can be malformed: the JSON text of its spoiled field, by kind."""

_NO_OBJECT = "not_an_object"
_OF_INSTANTS = ("negative_instant", "far_instant", "text_instant")


async def _malformed_rows(context: Context) -> Answer | None:
    opened = await _open(context)
    if opened is None or (context.variant in _OF_INSTANTS and not opened.shape.instant):
        return None
    rows = list(opened.rows)
    for n in _chosen(context, opened):
        if context.variant == _NO_OBJECT:
            rows[n] = msgspec.Raw(context.random.choice((b"null", b"17", b'"row"', b"[]")))
        else:
            rows[n] = _with(rows[n], MALFORMS[context.variant](rows[n], opened.shape, context.random))
    return opened.closed(rows)


KINDS = (
    FaultKind(
        name="late_rows",
        doc="answer only: a `share` of the rows is withheld from this answer and its total; later answers have them",
        run=_late_rows,
        only=ROWS,
    ),
    FaultKind(
        name="dropped_total",
        doc="answer only: `total` is missing",
        run=_dropped_total,
        only=frozenset(target for target in ROWS if target[0] == "lucko"),
    ),
    FaultKind(
        name="duplicate_rows",
        doc="answer only: a `share` of the rows comes twice; `different`: the second time with another amount",
        run=_duplicate_rows,
        only=ROWS,
        variants=("same", "different"),
    ),
    FaultKind(
        name="unknown_fields",
        doc="answer only: a `share` of the rows carries fields the document does not know, nested ones too",
        run=_unknown_fields,
        only=ROWS,
    ),
    FaultKind(
        name="malformed_rows",
        doc="answer only: a `share` of the rows breaks the document in one of the variants' ways, drawn for each call",
        run=_malformed_rows,
        only=ROWS,
        variants=(*MALFORMS, _NO_OBJECT),
        draws=True,
    ),
)
