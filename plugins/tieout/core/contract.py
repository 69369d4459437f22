"""Row contracts: a provider's JSON row becomes typed values, or a reject that says why.

A contract is a msgspec struct whose fields are named like the staging columns. Rows decode straight to exact
Decimals (a JSON number is read from its text, never through a float). Unknown fields are kept as ``extra``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, get_type_hints

import msgspec

MAX_EPOCH_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant Python can hold
MAX_MONEY_TEXT = 40

EpochMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCH_MS, description="milliseconds since the Unix epoch")]
Ident = Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="opaque identifier")]
Code = Annotated[str, msgspec.Meta(max_length=255, description="short text, may be empty")]
ZonedInstant = Annotated[datetime, msgspec.Meta(tz=True, description="ISO 8601 instant with a zone")]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: Default of an optional field kept as raw JSON (msgspec cannot make a Raw part of a union with None).
ABSENT = msgspec.Raw(b"")

#: Beyond, parsers begin to give up, PostgreSQL's among them.
MAX_NESTING = 200
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')

# What PostgreSQL's jsonb cannot hold although it is valid JSON: NUL, lone surrogates, absurd exponents.
_RISKY_JSON = re.compile(rb"\\u|[0-9][eE][+-]?[0-9]{3}")


class Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """Base of all row contracts. Unknown fields fail the fast decode and are split off on the slow path."""


class RowRejected(Exception):
    """A row breaks its contract. ``reason`` is a short code, ``detail`` a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def _money(value: Decimal | None) -> str | None:
    if value is None:
        return None
    text = str(value)
    if "E" in text and abs(value.adjusted()) < MAX_MONEY_TEXT:
        text = format(value, "f")
    # What still has an exponent is beyond any amount, and perhaps beyond what numeric can hold.
    if len(text) > MAX_MONEY_TEXT or not value.is_finite() or "E" in text:
        raise RowRejected("bad_value", f"amount {text[:60]!r} is not a finite number of at most 40 characters")
    return text


def _text(value: str | None) -> str | None:
    if value is not None and "\0" in value:
        raise RowRejected("bad_value", "text contains the NUL character, which PostgreSQL cannot store")
    return value


def _json(value: msgspec.Raw) -> str | None:
    raw = bytes(value)
    if raw in (b"", b"null"):
        return None
    try:
        if raw.count(b"[") + raw.count(b"{") > MAX_NESTING and _depth(raw) > MAX_NESTING:
            raise RowRejected("bad_value", f"nested JSON is deeper than {MAX_NESTING} levels")
        if _RISKY_JSON.search(raw):
            _check_storable(json.loads(raw, parse_float=_bounded_number))
        return raw.decode()
    except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
        raise RowRejected("bad_value", f"nested JSON cannot be stored: {error}") from None


def _depth(raw: bytes) -> int:
    """Return how deep valid JSON is nested; brackets inside of strings do not count."""
    depth = deepest = 0
    for token in _BRACKETS.finditer(raw):
        if token[0] in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in (b"]", b"}"):
            depth -= 1
    return deepest


def _check_storable(value: Any) -> None:
    """Raise unless every text inside is one PostgreSQL can hold: no NUL, no lone surrogate."""
    if isinstance(value, str):
        value.encode()
        _text(value)
    elif isinstance(value, dict):
        for key, child in value.items():
            _check_storable(key)
            _check_storable(child)
    elif isinstance(value, list):
        for child in value:
            _check_storable(child)


def _bounded_number(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > 1000:
        raise ValueError(f"number {text[:40]} is out of range")
    return number


def _jsonable(value: Any) -> str | None:
    if value is None:
        return None
    _check_storable(value)
    return msgspec.json.encode(value).decode()


def _epoch_or_null(value: int | None) -> int | None:
    # Providers write 0 for "not yet": an unsettled bet has settle_time 0.
    return value or None


_CONVERTERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda kind: Decimal in kind, _money),
    (lambda kind: msgspec.Raw in kind, _json),
    (lambda kind: list in kind, _jsonable),
    (lambda kind: str in kind, _text),
)


def _kinds(annotation: Any) -> set[Any]:
    """Return the plain types inside an annotation: ``Annotated[int, …] | None`` gives {int, NoneType}."""
    origin = getattr(annotation, "__origin__", None)
    if hasattr(annotation, "__metadata__"):
        return _kinds(annotation.__origin__)
    if origin is list:
        return {list}
    args = getattr(annotation, "__args__", None)
    if args:
        return set().union(*(_kinds(arg) for arg in args))
    return {annotation}


@dataclass(frozen=True)
class RowCodec:
    """Decodes raw JSON rows of one struct into tuples ready for COPY.

    ``columns`` are the struct's fields in order, ``epoch_columns`` those that stay integer milliseconds (SQL turns
    them into instants). Raises RowRejected.
    """

    struct: type[Row]
    nullable_epochs: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.struct.__struct_fields__)

    @cached_property
    def epoch_columns(self) -> frozenset[str]:
        hints = get_type_hints(self.struct, include_extras=True)
        return frozenset(name for name, hint in hints.items() if hint in (EpochMs, EpochMs | None))

    @cached_property
    def wire_names(self) -> tuple[str, ...]:
        return tuple(self.struct.__struct_encode_fields__)

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Row]:
        return msgspec.json.Decoder(self.struct)

    @cached_property
    def _converters(self) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
        hints = get_type_hints(self.struct)
        found = []
        for position, name in enumerate(self.columns):
            kinds = _kinds(hints[name])
            convert = next((fn for test, fn in _CONVERTERS if test(kinds)), None)
            if name in self.nullable_epochs:
                convert = _epoch_or_null
            if convert is not None:
                found.append((position, convert))
        return tuple(found)

    def decode(self, raw: msgspec.Raw | bytes) -> tuple[Row, str | None]:
        """Return the typed row and its unknown fields as JSON text (None when there are none)."""
        try:
            return self._decoder.decode(raw), None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._decode_slowly(raw)
        except RecursionError:
            raise RowRejected("bad_value", "the row is nested too deep") from None

    def _decode_slowly(self, raw: msgspec.Raw | bytes) -> tuple[Row, str | None]:
        """Strip key whitespace (JDB sends ``"tax "``), set unknown fields apart, decode the rest strictly."""
        try:
            fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowRejected("not_an_object", str(error)) from None
        stripped: dict[str, msgspec.Raw] = {}
        for key, value in fields.items():
            name = key.strip()
            if name in stripped and bytes(stripped[name]) != bytes(value):
                raise RowRejected("key_spelled_twice", f"field {name!r} comes twice with different values")
            stripped[name] = value
        known = {name: value for name, value in stripped.items() if name in self.wire_names}
        unknown = {name: value for name, value in stripped.items() if name not in self.wire_names}
        try:
            row = self._decoder.decode(msgspec.json.encode(known))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowRejected("bad_value", str(error)) from None
        return row, _json(msgspec.Raw(msgspec.json.encode(unknown))) if unknown else None

    def values(self, row: Row) -> list[Any]:
        """Return the row's values in column order, in the form COPY takes."""
        values = list(msgspec.structs.astuple(row))
        for position, convert in self._converters:
            values[position] = convert(values[position])
        return values
