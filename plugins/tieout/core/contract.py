"""Row contracts: a provider's JSON row becomes typed values, or a reject that says why.

A contract is a msgspec struct whose fields are named like the staging columns. An amount (``Decimal``) is read from
its text, never through a float, and only if that text is a plain decimal. Unknown fields are kept as ``extra``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar, cast, get_type_hints

import msgspec

from tieout.core import amounts

MAX_EPOCH_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant Python can hold

EpochMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCH_MS, description="milliseconds since the Unix epoch")]
Ident = Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="opaque identifier")]
Code = Annotated[str, msgspec.Meta(max_length=255, description="short text, may be empty")]
ZonedInstant = Annotated[datetime, msgspec.Meta(tz=True, description="ISO 8601 instant with a zone")]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
ControlTotal = Annotated[int, msgspec.Meta(ge=0, le=2**53, description="how many rows the provider says there are")]

#: Default of an optional field kept as raw JSON (msgspec cannot make a Raw part of a union with None).
ABSENT = msgspec.Raw(b"")

#: Beyond, parsers begin to give up, PostgreSQL's among them.
MAX_NESTING = 200
#: Bytes of a nested value, and of a row that has unknown fields: parsed, they take many times as much.
MAX_JSON = 1_000_000
#: Bytes of any row (one that names 100,000 bets has about 2 MB): decoded, a text can take four times as much.
MAX_ROW = 16_000_000
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)

# What PostgreSQL's jsonb cannot hold although it is valid JSON: NUL, lone surrogates, absurd exponents.
_RISKY_JSON = re.compile(rb"\\u|[0-9][eE][+-]?[0-9]{3}")


class Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """Base of all row contracts. Unknown fields fail the fast decode and are split off on the slow path.

    ``amounts_are_numbers``: how the document writes amounts; rows that do it the other way take the slow path.
    """

    amounts_are_numbers: ClassVar[bool] = False


class RowRejected(Exception):
    """A row breaks its contract. ``reason`` is a short code, ``detail`` a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def _text(value: str | None) -> str | None:
    if value is not None and "\0" in value:
        raise RowRejected("bad_value", "text contains the NUL character, which PostgreSQL cannot store")
    return value


def as_json(value: msgspec.Raw) -> str | None:
    """Return nested JSON as text; None for nothing. Raises RowRejected for what jsonb cannot hold."""
    raw = bytes(value)
    if raw in (b"", b"null"):
        return None
    if len(raw) > MAX_JSON:
        raise RowRejected("bad_value", f"nested JSON has {len(raw)} bytes, at most {MAX_JSON} are kept")
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
    (lambda kind: msgspec.Raw in kind, as_json),
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
    def _amounts(self) -> tuple[str, ...]:
        """The fields that are amounts."""
        hints = get_type_hints(self.struct)
        return tuple(name for name in self.columns if Decimal in _kinds(hints[name]))

    @cached_property
    def _amount_positions(self) -> tuple[int, ...]:
        return tuple(map(self.columns.index, self._amounts))

    @cached_property
    def _amount_wire_names(self) -> tuple[str, ...]:
        return tuple(self.wire_names[position] for position in self._amount_positions)

    @cached_property
    def _optional_amounts(self) -> frozenset[str]:
        fields = msgspec.structs.fields(self.struct)
        return frozenset(field.encode_name for field in fields if field.name in self._amounts and not field.required)

    def _with_amounts_as(self, kind: Any, absent: Any) -> type[Row]:
        """Return the struct with its amounts left as they are spelled: a Decimal would no longer show that."""
        fields: list[Any] = []
        for field in msgspec.structs.fields(self.struct):
            is_amount = field.name in self._amounts
            type_, default = (kind, absent) if is_amount else (field.type, field.default)
            if field.required:
                fields.append((field.name, type_))
            else:
                fields.append((field.name, type_ | None if is_amount and absent is None else type_, default))
        wire = msgspec.defstruct(
            self.struct.__name__,
            fields,
            bases=(Row,),
            rename=dict(zip(self.columns, self.wire_names, strict=True)),
            forbid_unknown_fields=True,
            frozen=True,
            gc=False,
        )
        return cast("type[Row]", wire)

    @cached_property
    def _text_struct(self) -> type[Row]:
        """Rows whose amounts are all JSON texts."""
        return self._with_amounts_as(str, None)

    @cached_property
    def _any_decoder(self) -> msgspec.json.Decoder[Row]:
        """Decodes rows whose amounts are texts or numbers."""
        return msgspec.json.Decoder(self._with_amounts_as(msgspec.Raw, ABSENT))

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Row]:
        """Decodes rows as the document writes them."""
        return self._any_decoder if self.struct.amounts_are_numbers else msgspec.json.Decoder(self._text_struct)

    @cached_property
    def page_decoder(self) -> msgspec.json.Decoder[list[Row]] | None:
        """Decodes a list of rows with all amounts as texts; None where the document writes them as numbers."""
        return None if self.struct.amounts_are_numbers else msgspec.json.Decoder(list[self._text_struct])  # type: ignore[name-defined]

    def is_raw(self, name: str) -> bool:
        """Whether a field is kept as raw JSON."""
        return msgspec.Raw in _kinds(get_type_hints(self.struct)[name])

    def is_list(self, name: str) -> bool:
        """Whether a field is a list, kept as JSON."""
        return list in _kinds(get_type_hints(self.struct)[name])

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
        """Return the row and its unknown fields as JSON text (None when there are none); ``values`` reads amounts."""
        if memoryview(raw).nbytes > MAX_ROW:
            raise RowRejected("bad_value", f"the row has {memoryview(raw).nbytes} bytes, at most {MAX_ROW} are read")
        try:
            try:
                return self._decoder.decode(raw), None
            except (msgspec.DecodeError, UnicodeDecodeError):
                return self._decode_slowly(raw)
        except RecursionError:
            raise RowRejected("bad_value", "the row is nested too deep") from None

    def _decode_slowly(self, raw: msgspec.Raw | bytes) -> tuple[Row, str | None]:
        """Strip key whitespace (JDB sends ``"tax "``), set unknown fields apart, decode the rest strictly."""
        if memoryview(raw).nbytes > MAX_JSON:
            raise RowRejected("bad_value", f"the row breaks its contract and has more than {MAX_JSON} bytes")
        try:
            fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowRejected("not_an_object", str(error)) from None
        stripped: dict[str, msgspec.Raw] = {}
        for key, value in fields.items():
            name = key.strip()
            if name in stripped and bytes(stripped[name]) != bytes(value):
                raise RowRejected("key_spelled_twice", f"field {name[:60]!r} comes twice with different values")
            stripped[name] = value
        known = {name: value for name, value in stripped.items() if name in self.wire_names}
        unknown = {name: value for name, value in stripped.items() if name not in self.wire_names}
        try:
            row = self._any_decoder.decode(msgspec.json.encode(known))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowRejected("bad_value", str(error)) from None
        return row, as_json(msgspec.Raw(msgspec.json.encode(unknown))) if unknown else None

    def values(self, row: Row) -> list[Any]:
        """Return the row's values in column order, in the form COPY takes."""
        values = list(msgspec.structs.astuple(row))
        spelled = [values[position] for position in self._amount_positions]
        try:
            if isinstance(row, self._text_struct):
                amounts.check_texts(spelled, self._amount_wire_names)
            else:
                digits = amounts.from_json(spelled, self._amount_wire_names, self._optional_amounts)
                for position, text in zip(self._amount_positions, digits, strict=True):
                    values[position] = text
        except ValueError as error:
            raise RowRejected("bad_value", str(error)) from None
        for position, convert in self._converters:
            values[position] = convert(values[position])
        return values
