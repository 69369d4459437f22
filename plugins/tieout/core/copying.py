"""Values as a binary COPY takes them: each column's values become bytes, rows are put together of these.

PostgreSQL takes binary rows at almost twice the speed of text: it has no digits and dates to parse. psycopg can write
them, too, but asks for the type of every value of every row; a column's type is known here, so that one pass over a
column encodes it, and two tables are filled from the same bytes. Formats: PostgreSQL documentation, "COPY", and the
``recv`` functions of the types.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain, compress, repeat
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB

from tieout.core.amounts import MAX_LENGTH

#: A column's encoded values, each with its length before it.
Pieces = Sequence[bytes]
Encoder = Callable[[Sequence[Any]], Pieces]

NULL = b"\xff\xff\xff\xff"
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_TRUE, _FALSE = b"\0\0\0\1\1", b"\0\0\0\1\0"
_JSONB_VERSION = 1
_BASE, _GROUP = 10_000, 4  # of a numeric's digits
_NEGATIVE = 0x4000
#: So many texts and amounts are remembered each: users, games and stakes come again and again.
_REMEMBERED = 100_000

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_DAY_ONE = date(2000, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_UNIX_EPOCH = (datetime(1970, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND

_length = struct.Struct("!i").pack
_int4 = struct.Struct("!ii").pack
_int8 = struct.Struct("!iq").pack
_jsonb_head = struct.Struct("!iB").pack
_fields = struct.Struct("!h").pack


def integers(column: Sequence[int | None]) -> Pieces:
    """Encode a column of int4."""
    return [NULL if value is None else _int4(4, value) for value in column]


def bigints(column: Sequence[int | None]) -> Pieces:
    """Encode a column of int8."""
    return [NULL if value is None else _int8(8, value) for value in column]


def epochs(column: Sequence[int | None]) -> Pieces:
    """Encode Unix milliseconds as timestamptz."""
    return [NULL if value is None else _int8(8, value * 1000 + _UNIX_EPOCH) for value in column]


def instants(column: Sequence[datetime | None]) -> Pieces:
    """Encode aware instants as timestamptz."""
    return [NULL if value is None else _int8(8, (value - _EPOCH) // _MICROSECOND) for value in column]


def dates(column: Sequence[date | None]) -> Pieces:
    """Encode a column of date."""
    return [NULL if value is None else _int4(4, (value - _DAY_ONE).days) for value in column]


def flags(column: Sequence[bool | None]) -> Pieces:
    """Encode a column of bool."""
    return [NULL if value is None else _TRUE if value else _FALSE for value in column]


class _Encoded(dict[Any, bytes]):
    """Encoded values that come again and again, up to a bound."""

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, value: str | None) -> bytes:
        found = self[value] = NULL if value is None else self._encode(value)
        return found

    def column(self, values: Sequence[str | None]) -> Pieces:
        if len(self) > _REMEMBERED:
            self.clear()
        return list(map(self.__getitem__, values))


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _length(len(encoded)) + encoded


_texts = _Encoded(_text)


def texts(column: Sequence[str | None]) -> Pieces:
    """Encode a column of text that repeats its values. Raises UnicodeEncodeError for half a surrogate pair."""
    return _texts.column(column)


def keys(column: Sequence[str]) -> Pieces:
    """Encode a column of text that hardly repeats a value. Raises UnicodeEncodeError for half a surrogate pair."""
    return list(map(_text, column))


def json_texts(column: Sequence[str | None]) -> Pieces:
    """Encode a column of jsonb."""
    return [NULL if value is None else _json(value.encode()) for value in column]


def _json(encoded: bytes) -> bytes:
    return _jsonb_head(len(encoded) + 1, _JSONB_VERSION) + encoded


_SHORT = [_jsonb_head(length + 1, _JSONB_VERSION) for length in range(1024)]


def json_bytes(column: Sequence[bytes]) -> Pieces:
    """Encode JSON that is encoded already; none and ``null`` are NULL."""
    if b"" not in column and b"null" not in column and max(map(len, column), default=0) < len(_SHORT):
        return [_SHORT[len(value)] + value for value in column]
    return [NULL if value in (b"", b"null") else _json(value) for value in column]


def _numeric(text: str) -> bytes:
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = whole + fraction
    plain = digits.isascii() and digits.isdigit() and whole and not text.endswith(".")
    if not plain or len(text) > MAX_LENGTH:
        raise ValueError(f"{text[:60]!r} is not a plain decimal of at most {MAX_LENGTH} characters")
    front = -len(whole) % _GROUP * "0" + whole
    number = front + fraction + -len(fraction) % _GROUP * "0"
    groups = [int(number[place : place + _GROUP]) for place in range(0, len(number), _GROUP)]
    weight = len(front) // _GROUP - 1
    while groups and groups[-1] == 0:
        groups.pop()
    while groups and groups[0] == 0:
        del groups[0]
        weight -= 1
    sign = _NEGATIVE if groups and text[0] == "-" else 0
    count = len(groups)
    return struct.pack(
        f"!iHhHH{count}H", 8 + 2 * count, count, weight if groups else 0, sign, len(fraction), *groups
    )  # fmt: skip


_amounts = _Encoded(_numeric)


def numerics(column: Sequence[str | None]) -> Pieces:
    """Encode plain decimals as numeric, with every digit that is written. Raises ValueError for anything else."""
    return _amounts.column(column)


_ENCODERS: tuple[tuple[type[Any], Encoder], ...] = (
    (JSONB, json_texts), (DateTime, instants), (Date, dates), (Numeric, numerics), (Boolean, flags),
    (BigInteger, bigints), (Integer, integers), (Text, texts),
)  # fmt: skip


def encoder(column: Column[Any]) -> Encoder:
    """Return what encodes Python values for a column of a table; amounts are texts, instants are datetimes."""
    return next(encode for kind, encode in _ENCODERS if isinstance(column.type, kind))


def encoded(column: Column[Any], value: Any) -> bytes:
    """Return one value as a piece."""
    return encoder(column)([value])[0]


def some_of(columns: Iterable[Sequence[Any]], chosen: Sequence[bool]) -> list[Sequence[Any]]:
    """Return of each column the values of the chosen rows."""
    return [list(compress(column, chosen)) for column in columns]


def joined(columns: Sequence[Pieces]) -> Pieces:
    """Return what stands in each row, as one piece a row."""
    return list(map(b"".join, zip(*columns, strict=True)))


def send(
    connection: psycopg.Connection,
    statement: sql.Composed,
    columns: Sequence[Pieces],
    *,
    fields: int,
    before: Sequence[bytes] = (),
    after: Sequence[bytes] = (),
) -> None:
    """COPY rows of *fields* columns made of *columns*; *before* and *after* stand in every row. Nothing for no rows."""
    if not columns[0]:
        return
    head = b"".join((_fields(fields), *before))
    pieces = zip(repeat(head), *columns, repeat(b"".join(after)))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"".join((_SIGNATURE, *chain.from_iterable(pieces), _TRAILER)))
