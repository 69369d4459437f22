"""Chance that repeats: random generators and small time helpers shared by the worlds."""

from __future__ import annotations

import hashlib
from decimal import ROUND_HALF_UP, Decimal
from random import Random

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
CHINA_OFFSET = 8 * HOUR  # UTC+8, the clock of HotRoad and JDB
CENT = Decimal("0.01")


def dice(*label: object) -> Random:
    """A generator that depends on `label` alone, equal in every process and on every machine."""
    name = "\x1f".join(str(part) for part in label)
    return Random(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))


def digits(random: Random, size: int) -> str:
    """`size` lowercase hex digits."""
    return f"{random.getrandbits(4 * size):0{size}x}"


def cents(value: Decimal) -> Decimal:
    """`value` rounded half away from zero to 2 decimals."""
    return value.quantize(CENT, ROUND_HALF_UP)
