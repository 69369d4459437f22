"""Amounts as providers spell them: plain decimals, taken over digit by digit.

A text must be ``-?digits(.digits)?``; a JSON number may have an exponent, which is written out. Nothing else is an
amount: no ``1_000``, no spaces, no ``NaN``, no ``+5``, no digits of other scripts. Python's Decimal and PostgreSQL's
numeric would take some of these, each others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from decimal import Decimal

import msgspec

#: Characters of an amount, sign and point included.
MAX_LENGTH = 40

# Amounts of a usual length are looked at together, separated by commas; all others one by one.
_USUAL = r"-?+[0-9]{1,23}+(?:\.[0-9]{1,15}+)?+"
_USUAL_TEXTS = re.compile(rf"{_USUAL}(?:,{_USUAL})*+")
_USUAL_JSON = re.compile(rf'(?:(?:"{_USUAL}"|{_USUAL})?+,)++'.encode())
_TEXT = re.compile(rb'"(-?[0-9]+(?:\.[0-9]+)?)"')
_NUMBER = re.compile(rb"(-?[0-9]+(?:\.[0-9]+)?)([eE][+-]?[0-9]{1,9})?")


def check_texts(texts: Sequence[str | None], names: Sequence[str]) -> None:
    """Raise ValueError, naming the field, unless every text is a plain decimal; None stands for an absent one."""
    present = [text for text in texts if text is not None]
    joined = ",".join(present)
    # Counted, because a text may hold a comma itself.
    if not present or (_USUAL_TEXTS.fullmatch(joined) and joined.count(",") == len(present) - 1):
        return
    for text, name in zip(texts, names, strict=True):
        if text is not None:
            _digits(msgspec.json.encode(text[: MAX_LENGTH + 20]), name)


def from_json(raws: Sequence[msgspec.Raw], names: Sequence[str], optional: Collection[str]) -> list[str | None]:
    """Return the digits of amounts spelled as JSON texts or numbers; None for absent ones.

    Raises ValueError, naming the field, for anything else; ``null`` is an amount of an *optional* field only.
    """
    joined = b",".join((*raws, b""))
    if _USUAL_JSON.fullmatch(joined):
        return [text or None for text in joined.decode().replace('"', "").split(",")[:-1]]
    found: list[str | None] = []
    for whole, name in zip(raws, names, strict=True):
        raw = bytes(memoryview(whole)[: MAX_LENGTH + 20])
        absent = raw in (b"", b"null") and name in optional
        found.append(None if absent else _digits(raw, name))
    return found


def _digits(raw: bytes, name: str) -> str:
    match = _TEXT.fullmatch(raw) or _NUMBER.fullmatch(raw)
    text = match[1].decode() if match else ""
    if match and match.lastindex == 2:
        number = Decimal(match[0].decode())
        # What is this far from 1 is no amount, and perhaps beyond what numeric can hold.
        text = format(number, "f") if abs(number.adjusted()) < MAX_LENGTH else ""
    if not 0 < len(text) <= MAX_LENGTH:
        shown = raw.decode("utf-8", "replace")
        raise ValueError(f"{shown!r} is not a plain decimal of at most {MAX_LENGTH} characters - at `$.{name}`")
    return text
