"""Rows made to exhaust a load, or PostgreSQL, are rejects like any other: the rows beside them are stored."""

from __future__ import annotations

import itertools
import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from measured import MEGABYTES, load, measure
from sqlalchemy import URL

from readings import Reading, at
from tieout.core.contract import MAX_ROW
from tieout.core.errors import SuspectReading

MB = 1_000_000
NUMBERS = itertools.count(1)

BET: dict[str, Any] = {
    "id": "b", "user_id": "u", "game_id": "101", "bet_time": 1_772_366_400_000, "bet_amount": "1",
    "valid_bet_turnover": "1", "currency": "USD", "update_time": 1_772_366_402_000, "status": 1,
}  # fmt: skip


def row(**raw: str | bytes) -> bytes:
    """Return a bet as JSON, some fields given as raw JSON."""
    fields = {name: json.dumps(value) for name, value in BET.items() if name not in raw} | raw
    parts = (
        b'"%b":%b' % (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in fields.items()
    )
    return b"{" + b",".join(parts) + b"}"


def landed(reading: type[Reading], *rows: bytes) -> Reading:
    body = b'{"code":200,"data":{"total":%d,"transactions":[%b]}}' % (len(rows), b",".join(rows))
    made = reading.of("lucko", "bets", at(2026, 3, 1, 12), agent=f"acme-{next(NUMBERS)}").answer(body)
    made.land()
    return made


# Made when they are needed: together they would fill the memory of the test run.
HUGE: dict[str, Callable[[int], bytes]] = {
    "an id": lambda size: row(id=b'"' + b"i" * size + b'"'),
    "an id beyond ASCII": lambda size: row(id=b'"\xf0\x9f\x98\x80' + b"i" * size + b'"'),
    "an amount": lambda size: row(bet_amount=b'"' + b"1" * size + b'"'),
    "a nested value": lambda size: row(bet_detail=b'{"x":"' + b"y" * size + b'"}'),
    "a nested list": lambda size: row(bet_detail=b"[" + b'"\\u0041",' * (size // 10) + b"0]"),
    "an unknown field": lambda size: row(new=b'"' + b"n" * size + b'"'),
    "a field's name": lambda size: row(**{"k" * size: "1"}),
    "unknown fields": lambda size: row(**{f"k{number}": "1" for number in range(size // 40)}),
    "a deep unknown field": lambda _: row(new=b"[" * 400 + b"]" * 400),
}


@pytest.mark.parametrize("size", [MAX_ROW - 10_000, 60 * MB], ids=["just read", "60 MB"])
@pytest.mark.parametrize("name", HUGE)
def test_a_huge_row(name: str, size: int, reading: type[Reading], warehouse: URL, db: psycopg.Connection) -> None:
    made = landed(reading, row(id='"before"'), HUGE[name](size), row(id='"after"'))
    cost = measure(load, warehouse, str(made.manifest))
    assert cost.error == "SuspectReading", cost
    assert cost.megabytes < MEGABYTES, cost
    assert cost.seconds < 30, cost
    stored = db.execute("SELECT id FROM staging.lucko_bets WHERE agent = %s ORDER BY id", (made.agent,)).fetchall()
    assert stored == [("after",), ("before",)]
    ((reason, detail, raw),) = db.execute(
        "SELECT reason, detail, raw FROM ops.rejects WHERE agent = %s", (made.agent,)
    ).fetchall()
    assert reason == "bad_value"
    assert len(detail) < 500
    assert 0 < len(raw) <= 100_000


@pytest.mark.parametrize(
    "ident",
    [
        "".join(random.Random(1).choices(string.ascii_letters, k=20_000)),  # more than an index can hold
        "\\ud800",
        "a\\u0000b",
    ],
    ids=["long", "surrogate", "nul"],
)
def test_a_reject_is_kept_whatever_its_key(ident: str, reading: type[Reading], db: psycopg.Connection) -> None:
    made = landed(reading, row(id=f'"{ident}"'), row(id='"good"'))
    with pytest.raises(SuspectReading):
        made.load()
    kept = db.execute("SELECT reason FROM ops.rejects WHERE agent = %s", (made.agent,)).fetchall()
    assert kept == [("bad_value",)]
    assert db.execute("SELECT id FROM staging.lucko_bets WHERE agent = %s", (made.agent,)).fetchall() == [("good",)]


def test_the_evidence_lies_beside_the_warehouse(reading: type[Reading]) -> None:
    made = landed(reading, HUGE["an unknown field"](60 * MB))
    assert isinstance(made.manifest, Path)
    assert (made.manifest.parent / "page-00001.json.gz").stat().st_size < MB
