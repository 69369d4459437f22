"""The short way of a load: rows whose keys nobody has stored yet go straight into their tables.

A row whose key is neither stored nor in the reading twice has nothing to be merged with: the merge would insert it,
with its first version, and do nothing else. So these rows are copied where they belong, and only the others go
through the temporary table. Each answer's keys are looked up first. A key of this very load among them came twice in
the reading; then what was copied is taken back, and the whole reading is merged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import psycopg
from psycopg import sql

from tieout.core import copying
from tieout.core.feed import FeedSpec
from tieout.core.feed_sql import FeedSql, names, table_of
from tieout.core.landing import PageEntry
from tieout.core.rows import Rows


class NotStraight(Exception):
    """The whole reading has to be merged: a key came twice, somebody else stored it, or most are stored already."""


class FreshSql(FeedSql):
    """Statements of the short way."""

    def stored_keys(self) -> sql.Composed:
        """Look keys up: (key, whether this load stored it). Parameters: agent, load_id, keys."""
        (key,) = self.feed.key
        # An index takes sorted keys in one sweep.
        return sql.SQL(
            "SELECT t.{0}, t.load_id = %(load_id)s FROM {1} AS t WHERE t.agent = %(agent)s AND t.{0} = ANY(%(keys)s)"
        ).format(sql.Identifier(key), self.target)

    @cached_property
    def shared(self) -> list[str]:
        """The data columns that versions have, too."""
        return self.version_columns() if self.feed.versions is not None else []

    @cached_property
    def own(self) -> list[str]:
        """All other columns that differ from row to row."""
        return [name for name in (*self.columns, "extra") if name not in self.shared]

    def copy_rows(self) -> sql.Composed:
        """COPY into the feed's table: agent, shared and own columns, then what is the same in all rows."""
        return sql.SQL(
            "COPY {} (agent, {}, reading_id, load_id, first_seen_at, last_changed_at) FROM STDIN (FORMAT binary)"
        ).format(self.target, names((*self.shared, *self.own)))

    def copy_versions(self) -> sql.Composed:
        """COPY into the feed's versions: agent, shared columns, then what is the same in all rows."""
        return sql.SQL("COPY {} (agent, {}, reading_id, load_id, pulled_at) FROM STDIN (FORMAT binary)").format(
            table_of(self.feed.versions), names(self.shared)
        )


def goes_straight(feed: FeedSpec) -> bool:
    """Whether a feed's new rows need no more than to be stored, and can be told by one column."""
    return len(feed.key) == 1 and not (feed.snapshot or feed.before_merge or feed.after_merge)


@dataclass
class FreshRows:
    """Writes the new rows of one load, answer by answer; ``by_window`` counts them."""

    connection: psycopg.Connection
    feed: FeedSpec
    agent: str
    load_id: int
    reading_id: str
    by_window: Counter[int] = field(default_factory=Counter)

    @cached_property
    def _sql(self) -> FreshSql:
        return FreshSql(self.feed)

    def write(self, rows: Rows, window: int, entry: PageEntry) -> Rows:
        """Store the new rows of one answer and return the others. Raises NotStraight."""
        if not rows.numbers:
            return rows
        stored = self._stored(rows)
        if not self.by_window and 2 * len(stored) > len(rows.numbers):
            raise NotStraight("most of its rows are stored already")
        fresh, others = (rows, None) if not stored else _split(rows, [key not in stored for key in rows.keys])
        try:
            self._copy(fresh, entry)
        except psycopg.errors.UniqueViolation as error:
            raise NotStraight(str(error)) from error
        self.by_window[window] += len(fresh.numbers)
        return others or Rows(numbers=(), keys=(), columns=[()] * len(rows.columns))

    def _stored(self, rows: Rows) -> set[str]:
        """Return the keys that were stored before this load."""
        found = self.connection.execute(
            self._sql.stored_keys(), {"agent": self.agent, "load_id": self.load_id, "keys": sorted(rows.keys)}
        ).fetchall()
        stored = {key for key, own in found if not own}
        if len(stored) < len(found):
            raise NotStraight("a key of an earlier answer comes again")
        new = [key for key in rows.keys if key not in stored] if stored else rows.keys
        if len(set(new)) < len(new):
            raise NotStraight("a key comes twice in one answer")
        return stored

    def _copy(self, rows: Rows, entry: PageEntry) -> None:
        if not rows.numbers:
            return
        table = self.feed.table.c
        agent = copying.encoded(table.agent, self.agent)
        reading = copying.encoded(table.reading_id, self.reading_id)
        load = copying.encoded(table.load_id, self.load_id)
        at = copying.encoded(table.first_seen_at, entry.requested_at)
        by_name = dict(zip((*self._sql.columns, "extra"), rows.columns, strict=True))
        shared = [by_name[name] for name in self._sql.shared]
        # What both tables have is put together once.
        both = [copying.joined(shared)] if shared else []
        own = [by_name[name] for name in self._sql.own]
        copying.send(
            self.connection, self._sql.copy_rows(), [*both, *own],
            fields=len(shared) + len(own) + 5, before=[agent], after=[reading, load, at, at],
        )  # fmt: skip
        if both:
            copying.send(
                self.connection, self._sql.copy_versions(), both,
                fields=len(shared) + 4, before=[agent], after=[reading, load, at],
            )  # fmt: skip


def _split(rows: Rows, chosen: list[bool]) -> tuple[Rows, Rows]:
    def part(mask: list[bool]) -> Rows:
        numbers, keys, *columns = copying.some_of([rows.numbers, rows.keys, *rows.columns], mask)
        return Rows(numbers=numbers, keys=keys, columns=columns)

    return part(chosen), part([not one for one in chosen])
