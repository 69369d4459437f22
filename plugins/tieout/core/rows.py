"""An answer's rows, encoded for COPY: a whole answer at once, row by row where that is not possible.

Almost every answer keeps its contract to the letter. It is decoded in one go and looked at column by column, in half
the time that its rows take one by one. Whatever is out of the ordinary – a bad row, an unknown field, an escape that
could hide what PostgreSQL cannot store – sends the answer the other way; both give the same rows.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Numeric

from tieout.core import copying
from tieout.core.contract import MAX_NESTING, MAX_ROW, RowRejected, as_json
from tieout.core.copying import Encoder, Pieces
from tieout.core.feed import FeedSpec

_PIECE = 1 << 20
# What could be an exponent, found many times as fast as by a regular expression.
_EXPONENTS = bytes.maketrans(b"123456789E", b"000000000e")


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row that broke its contract; *number* counts from 1 in its answer."""

    number: int
    raw: msgspec.Raw
    why: RowRejected


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one answer, column by column: the data columns and ``extra``, encoded, and each row's number from 1.

    ``keys`` are the values of the first key column. Columns, because a million lists of values would be a million
    things for Python's garbage collector to look at.
    """

    numbers: Sequence[int]
    keys: Sequence[str]
    columns: Sequence[Pieces]
    rejected: list[Rejected] = field(default_factory=list)


class _Unusual(Exception):
    """The answer has to be read row by row."""


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of a feed's answers."""

    feed: FeedSpec

    def read(self, raws: Sequence[msgspec.Raw], window_values: Iterable[Any] = ()) -> Rows:
        """Return the rows of one answer; *window_values* are those of the window columns, the same in every row."""
        columns = self.feed.table.c
        window = [
            copying.encoded(columns[name], value)
            for name, value in zip(self.feed.window_columns, window_values, strict=True)
        ]
        try:
            return self._at_once(raws, window)
        except _Unusual:
            return self._one_by_one(raws, window)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The columns that differ from row to row."""
        return (*self.feed.codec.columns, *self.feed.derived_columns)

    @cached_property
    def _key(self) -> int:
        """The position of the first key column that differs from row to row."""
        return next(position for position, name in enumerate(self._names) if name in self.feed.key)

    @cached_property
    def _encoders(self) -> tuple[Encoder, ...]:
        """What encodes the codec's values, column by column."""
        codec, columns = self.feed.codec, self.feed.table.c
        return tuple(
            copying.epochs if name in codec.epoch_columns
            else copying.keys if name == self._names[self._key] else copying.encoder(columns[name])
            for name in self._names
        )  # fmt: skip

    def _rows(
        self, numbers: Sequence[int], columns: list[Sequence[Any]], encoders: Iterable[Encoder], window: list[bytes]
    ) -> Rows:
        count = len(numbers)
        pieces = [encode(column) for encode, column in zip(encoders, columns, strict=True)]
        pieces.extend([value] * count for value in window)
        return Rows(numbers=numbers, keys=columns[self._key], columns=pieces)

    # -- one by one -----------------------------------------------------------------------------------------

    def _one_by_one(self, raws: Sequence[msgspec.Raw], window: list[bytes]) -> Rows:
        codec, feed = self.feed.codec, self.feed
        values: list[list[Any]] = []
        numbers: list[int] = []
        extras: list[str | None] = []
        rejected: list[Rejected] = []
        for number, raw in enumerate(raws, start=1):
            try:
                row, extra = codec.decode(raw)
                found = codec.values(row)
                found.extend(feed.derive(row))
            except RowRejected as why:
                rejected.append(Rejected(number=number, raw=raw, why=why))
                continue
            values.append(found)
            numbers.append(number)
            extras.append(extra)
        columns: list[Sequence[Any]] = list(zip(*values, strict=True)) or [()] * len(self._names)
        rows = self._rows(numbers, columns, self._encoders, window)
        return Rows(
            numbers=numbers, keys=rows.keys, columns=[*rows.columns, copying.json_texts(extras)], rejected=rejected
        )  # fmt: skip

    # -- at once --------------------------------------------------------------------------------------------

    @cached_property
    def _encoders_of_whole(self) -> tuple[Encoder, ...]:
        """What looks at and encodes the columns of an answer that was decoded in one go."""
        codec = self.feed.codec
        found = []
        for name, encode in zip(self._names, self._encoders, strict=True):
            if name in codec.nullable_epochs:
                encode = _epochs_or_zero
            elif isinstance(self.feed.table.c[name].type, Numeric):
                encode = _amounts
            elif name in codec.columns and codec.is_raw(name):
                encode = _raw_json
            elif name in codec.columns and codec.is_list(name):
                encode = _lists
            found.append(encode)
        return tuple(found)

    def _at_once(self, raws: Sequence[msgspec.Raw], window: list[bytes]) -> Rows:
        """Return what ``_one_by_one`` returns, or raise _Unusual."""
        decoder = self.feed.codec.page_decoder
        if decoder is None or not raws or max(memoryview(raw).nbytes for raw in raws) > MAX_ROW:
            raise _Unusual
        body = b"[" + b",".join(raws) + b"]"
        # Only an escape can hide a NUL or half a surrogate pair in a text.
        if b"\\u" in body:
            raise _Unusual
        try:
            if not body.isascii():
                _check_utf8(body)
            rows = decoder.decode(body)
        except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
            raise _Unusual from None
        del body
        columns: list[Sequence[Any]] = [list(map(attrgetter(name), rows)) for name in self.feed.codec.columns]
        if self.feed.derived_columns:
            columns.extend(zip(*map(self.feed.derive, rows), strict=True))
        return self._rows(range(1, len(rows) + 1), columns, self._encoders_of_whole, [*window, copying.NULL])


def _check_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError for what is no UTF-8, piece by piece: as one text it could take four times the room."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _PIECE):
        decoder.decode(body[start : start + _PIECE])
    decoder.decode(b"", final=True)


def _epochs_or_zero(column: Sequence[int | None]) -> Pieces:
    # Providers write 0 for "not yet", as the codec knows.
    return copying.epochs([value or None for value in column])


def _amounts(column: Sequence[str | None]) -> Pieces:
    try:
        return copying.numerics(column)
    except ValueError:
        raise _Unusual from None


def _raw_json(column: Sequence[msgspec.Raw]) -> Pieces:
    values = list(map(bytes, column))
    if max(map(len, values)) > MAX_NESTING or b"0e" in b",".join(values).translate(_EXPONENTS):
        try:
            return copying.json_texts([as_json(raw) for raw in column])
        except RowRejected:
            raise _Unusual from None
    return copying.json_bytes(values)


def _lists(column: Sequence[list[Any] | None]) -> Pieces:
    return copying.json_texts([None if value is None else msgspec.json.encode(value).decode() for value in column])
