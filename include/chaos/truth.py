"""Every staging row against the simulator's truth, field by field, by rules of its own.

The provider's fields become columns by their names alone; what is compared is the value: amounts as exact decimals,
instants as milliseconds, everything else as it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import requests
from psycopg.rows import dict_row

Row = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a feed's truth is named: its staging table, the fields that make its key, and fields of the world only."""

    table: str
    key: tuple[str, ...]
    rename: dict[str, str] = field(default_factory=dict)


SHAPES: dict[str, Shape] = {
    "lucko_bets": Shape(table="lucko_bets", key=("id",)),
    "lucko_rebates": Shape(table="lucko_rebates", key=("id",)),
    "hotroad_summary": Shape(
        table="hotroad_summary", key=("hour_start", "game_type", "game_code"), rename={"hour": "hour_start"}
    ),
    "jdb_daily": Shape(table="jdb_daily", key=("report_date", "g_type", "uid"), rename={"date": "report_date"}),
    "vertexplay_betlogs": Shape(table="vertexplay_betlogs", key=("transfer_id",)),
}


@dataclass(kw_only=True)
class Differences:
    """Truth rows that are not in staging, staging rows that are in no truth (or twice), and fields that differ."""

    rows: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, kind: str, text: str) -> None:
        """Count one difference and keep the first few as examples."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 20:
            self.examples.append(f"{kind}: {text}")


def compare(
    db: psycopg.Connection,
    simulator: str,
    *,
    feed: str,
    agent: str,
    start: datetime,
    end: datetime,
    into: Differences,
    merchant: str | None = None,
) -> None:
    """Compare one feed of one agent over ``[start, end)``; *merchant*: the simulator's name for it, if another one."""
    shape = SHAPES[feed]
    stored: dict[tuple[Any, ...], Row] = {}
    for row in _staging(db, shape, agent):
        key = tuple(row[name] for name in shape.key)
        if key in stored:
            into.note("duplicated", f"{feed} {agent} {key}")
        stored[key] = row
    seen = set()
    for truth in truth_rows(simulator, feed=feed, agent=merchant or agent, start=start, end=end):
        expected = {shape.rename.get(snake(name), snake(name)): value for name, value in truth.items()}
        into.rows += 1
        key = tuple(_as_stored(expected[name], name) for name in shape.key)
        seen.add(key)
        if key not in stored:
            into.note("lost", f"{feed} {agent} {key}")
            continue
        for name, value in expected.items():
            column = name.strip()
            if column not in shape.key and not same(value, stored[key].get(column)):
                into.note("wrong", f"{feed} {agent} {key} {column}: {stored[key].get(column)!r}, truth {value!r}")
    for key in stored.keys() - seen:
        into.note("duplicated", f"{feed} {agent} {key} is in staging, the provider does not know it")


def truth_rows(simulator: str, *, feed: str, agent: str, start: datetime, end: datetime) -> Iterator[Row]:
    """Yield the provider's rows as served now, numbers exact."""
    answer = requests.get(
        f"{simulator}/_sim/truth/rows",
        params={"feed": feed, "agent": agent, "from": str(_ms(start)), "to": str(_ms(end))},
        timeout=120,
    )
    answer.raise_for_status()
    yield from json.loads(answer.text, parse_float=Decimal)


def snake(name: str) -> str:
    """``validBet`` → ``valid_bet``; names in snake case stay."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def same(expected: Any, stored: Any) -> bool:
    """Whether a value of the provider is what a column holds."""
    if isinstance(stored, Decimal):
        return expected is not None and Decimal(str(expected)) == stored
    if isinstance(stored, datetime):
        return _ms_of(expected) == _ms(stored)
    if isinstance(stored, (list, dict)):
        return bool(_plain(expected) == _plain(stored))
    if stored is None:
        # An instant that has not come yet is written as 0.
        return expected in (None, 0, "")
    return bool(expected == stored)


def _staging(db: psycopg.Connection, shape: Shape, agent: str) -> Iterator[Row]:
    alive = " AND retired_at IS NULL" if shape.table in ("hotroad_summary", "jdb_daily") else ""
    with db.cursor(row_factory=dict_row) as cursor:
        yield from cursor.execute(f"SELECT * FROM staging.{shape.table} WHERE agent = %s{alive}".encode(), (agent,))


def _as_stored(value: Any, name: str) -> Any:
    converters: dict[str, Callable[[Any], Any]] = {
        "hour_start": lambda text: datetime.fromisoformat(text) if isinstance(text, str) else _instant(text),
        "report_date": lambda text: _report_date(str(text)),
    }
    return converters.get(name, lambda same: same)(value)


def _report_date(text: str) -> date:
    return date.fromisoformat(text) if text[:4].isdigit() else datetime.strptime(text, "%d-%m-%Y").date()


def _ms_of(value: Any) -> int:
    return _ms(datetime.fromisoformat(value)) if isinstance(value, str) and not value.isdigit() else int(value)


def _ms(instant: datetime) -> int:
    delta = instant - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return Decimal(str(value))
    return value
