"""JSON as it is written here: Decimals as numbers digit for digit, so that money never passes a float."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: object) -> bytes:
    """`value` as compact JSON; `msgspec.Raw` inside of it is written as it is."""
    return _ENCODER.encode(value)


def encode_row(row: object) -> msgspec.Raw:
    """`row` encoded once for many answers."""
    return msgspec.Raw(_ENCODER.encode(row))


def encode_lines(rows: Iterable[object]) -> bytes:
    """One line of JSON per row."""
    return b"".join(_ENCODER.encode(row) + b"\n" for row in rows)


def decode(text: bytes | str | msgspec.Raw) -> Any:
    """The value in `text`, its fractions as Decimals; raises msgspec.DecodeError or UnicodeDecodeError."""
    return _DECODER.decode(text)
