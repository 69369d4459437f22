"""The pieces that every SQL statement of a load is made of: a feed's columns, keys and instants.

Rows are copied into a temporary table first. Columns it adds say where a row came from; ``_reading`` 0 is the reading
being loaded, others stand beside it because they were made later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import sql
from sqlalchemy import Column, DateTime
from sqlalchemy.dialects import postgresql

from tieout.core.feed import FeedSpec

#: Of these, all from ``_reading`` on are the same in every row of an answer.
ROW_ORIGIN = ("extra", "_row", "_reading", "_window", "_page", "_requested_at")
_ORIGIN_TYPES = {
    "extra": "jsonb", "_row": "bigint", "_reading": "integer", "_window": "integer", "_page": "integer",
    "_requested_at": "timestamptz",
}  # fmt: skip
INCOMING = sql.Identifier("incoming")
#: The id of the reading a row of the temporary table came with.
READING_ID = sql.SQL("(%(readings)s::text[])[_reading + 1]")
SLICES = sql.SQL("unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY AS s (starts, ends, n)")
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class FeedSql:
    """Base of the statements for one feed.

    Parameters of all of them: agent, load_id, readings (ids by ``_reading``), starts and ends (of the slices),
    complete (whether all later readings stand beside this one).
    """

    feed: FeedSpec

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return self.feed.data_columns

    @cached_property
    def copied(self) -> tuple[str, ...]:
        """The temporary table's columns in COPY order."""
        return (*self.columns, *ROW_ORIGIN)

    @property
    def target(self) -> sql.Composable:
        return table_of(self.feed.table)

    @cached_property
    def content(self) -> tuple[str, ...]:
        """What makes a row different: everything but the key and provenance."""
        return tuple(name for name in (*self.columns, "extra") if name not in self.feed.key)

    def order_columns(self) -> tuple[str, ...]:
        return (self.feed.order,) if self.feed.order else ()

    def incoming_type(self, name: str) -> str:
        if name in _ORIGIN_TYPES:
            return _ORIGIN_TYPES[name]
        return self.type_of(name)

    def type_of(self, name: str) -> str:
        column: Column[Any] = self.feed.table.c[name]
        if isinstance(column.type, DateTime):
            return "timestamptz"
        return str(column.type.compile(dialect=_DIALECT))

    def differs(self, other: str) -> sql.Composed:
        return sql.SQL("({}) IS DISTINCT FROM ({})").format(names(self.content, "t"), names(self.content, other))

    def inside(self, alias: str) -> sql.Composed:
        position = sql.SQL(self.feed.position.replace("{row}", alias))
        return sql.SQL("{0} >= s.starts AND {0} < s.ends").format(position)

    def version_columns(self) -> list[str]:
        assert self.feed.versions is not None
        return [name for name in self.columns if name in self.feed.versions.c]

    def on_key(self, left: str, right: str) -> sql.Composed:
        return sql.SQL("({}) = ({})").format(names(self.feed.key, left), names(self.feed.key, right))


def table_of(table: Any) -> sql.Composable:
    """Return a table's qualified name."""
    return sql.Identifier(table.schema, table.name)


def names(columns: Iterable[str], prefix: str | None = None) -> sql.Composed:
    """Return column names separated by commas, each with *prefix*."""
    return listed(sql.Identifier(prefix, name) if prefix else sql.Identifier(name) for name in columns)


def listed(items: Iterable[sql.Composable]) -> sql.Composed:
    """Return pieces separated by commas."""
    return sql.SQL(", ").join(items)
