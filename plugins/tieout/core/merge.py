"""The SQL of a load: a temporary table that takes COPY, and one merge that writes only what really changed.

Row order is (the feed's ``order`` column where it has one, then the request instant of the answer, then page and
row). A state that is older than what is stored is added to the history but never updates; of a slice that a newer
reading has covered since, only absent keys are added.
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

#: Columns the temporary table adds to a row: where it came from.
ROW_ORIGIN = ("extra", "_page", "_row", "_requested_at")
_ORIGIN_TYPES = {"extra": "jsonb", "_page": "integer", "_row": "bigint", "_requested_at": "timestamptz"}
INCOMING = sql.Identifier("incoming")
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class MergeSql:
    """Statements for one feed. Parameters: agent, reading_id, load_id, newer (tstzmultirange)."""

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
        return _table(self.feed.table)

    @cached_property
    def content(self) -> tuple[str, ...]:
        """What makes a row different: everything but the key and provenance."""
        return tuple(name for name in (*self.columns, "extra") if name not in self.feed.key)

    def create_incoming(self) -> sql.Composed:
        """Create the temporary table; epoch milliseconds stay integers until the merge."""
        fields = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(self._incoming_type(name))) for name in self.copied
        ]
        return sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(INCOMING, _list(fields))

    def copy_in(self) -> sql.Composed:
        """COPY rows into the temporary table."""
        return sql.SQL("COPY {} ({}) FROM STDIN").format(INCOMING, _names(self.copied))

    def merge(self) -> sql.Composed:
        """Write what changed; returns (inserted, updated)."""
        assignments: list[sql.Composable] = [
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in (*self.content, "reading_id", "load_id", "last_changed_at")
        ]
        if self.feed.snapshot:
            assignments.append(sql.SQL("retired_at = NULL"))
        version_cte = self._versions_of_merged()
        return sql.SQL(
            """
WITH best AS ({best}), merged AS (
    INSERT INTO {target} AS t (agent, {columns}, extra, reading_id, load_id, first_seen_at, last_changed_at)
    SELECT %(agent)s, {columns}, extra, %(reading_id)s, %(load_id)s, _requested_at, _requested_at FROM best
    {only_fresh}
    ON CONFLICT (agent, {key}) DO UPDATE SET {assignments}
    WHERE ({changed}) AND {newer}
    RETURNING t.*, (xmax = 0) AS _inserted
){versions}
SELECT count(*) FILTER (WHERE _inserted), count(*) FILTER (WHERE NOT _inserted) FROM merged"""
        ).format(
            best=self._best(),
            target=self.target,
            columns=_names(self.columns),
            key=_names(self.feed.key),
            assignments=_list(assignments),
            only_fresh=sql.SQL("WHERE NOT {}").format(self._covered(sql.SQL("")))
            if self.feed.snapshot
            else sql.SQL(""),
            changed=self._changed(),
            newer=self._newer(),
            versions=version_cte,
        )

    def late_history(self) -> sql.Composed | None:
        """Add states that were too old to update their row to the history; None for feeds without one."""
        if self.feed.versions is None:
            return None
        shared = self._version_columns()
        return sql.SQL(
            """
WITH best AS ({best})
INSERT INTO {versions} (agent, {shared}, pulled_at, reading_id, load_id)
SELECT %(agent)s, {b_shared}, b._requested_at, %(reading_id)s, %(load_id)s
FROM best b JOIN {target} t ON t.agent = %(agent)s AND {on_key}
WHERE t.load_id <> %(load_id)s AND ({b_content}) IS DISTINCT FROM ({t_content})
  AND NOT EXISTS (SELECT FROM {versions} v WHERE v.agent = %(agent)s AND {v_on_key}
                  AND ({v_content}) IS NOT DISTINCT FROM ({b_content}))
ON CONFLICT DO NOTHING"""
        ).format(
            best=self._best(),
            versions=_table(self.feed.versions),
            target=self.target,
            shared=_names(shared),
            b_shared=_names(shared, "b"),
            on_key=self._on_key("t", "b"),
            v_on_key=self._on_key("v", "b"),
            b_content=_names([name for name in shared if name not in self.feed.key], "b"),
            t_content=_names([name for name in shared if name not in self.feed.key], "t"),
            v_content=_names([name for name in shared if name not in self.feed.key], "v"),
        )

    def retire(self) -> sql.Composed | None:
        """Retire rows of the windows read that this reading no longer shows; None unless a snapshot feed.

        Parameters besides the merge's: ``scope`` (JSON array of the windows' key columns), ``retired_at``.
        """
        if not self.feed.snapshot:
            return None
        scope = [name for name in self.feed.key if name in self.feed.window_columns]
        types = [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(self._type_of(n))) for n in scope]
        return sql.SQL(
            """
WITH scope AS (SELECT * FROM jsonb_to_recordset(%(scope)s) AS s({types})), best AS ({best})
UPDATE {target} t SET retired_at = %(retired_at)s, last_changed_at = %(retired_at)s,
       reading_id = %(reading_id)s, load_id = %(load_id)s
FROM scope s
WHERE t.agent = %(agent)s AND ({t_scope}) = ({s_scope}) AND t.retired_at IS NULL
  AND t.last_changed_at <= %(retired_at)s AND NOT {covered}
  AND NOT EXISTS (SELECT FROM best b WHERE {on_key})"""
        ).format(
            types=_list(types),
            best=self._best(),
            target=self.target,
            t_scope=_names(scope, "t"),
            s_scope=_names(scope, "s"),
            covered=self._covered(sql.SQL("t.")),
            on_key=self._on_key("t", "b"),
        )

    def count_keys(self) -> sql.Composed:
        """Count distinct natural keys received."""
        return sql.SQL("SELECT count(*) FROM (SELECT DISTINCT {} FROM {}) k").format(_names(self.feed.key), INCOMING)

    def count_collisions(self) -> sql.Composed:
        """Count keys that stand in one answer with different contents: more than one row, and no way to tell which."""
        return sql.SQL(
            "SELECT count(*) FROM (SELECT FROM {} GROUP BY _page, {} HAVING count(DISTINCT ({})) > 1) AS c"
        ).format(INCOMING, _names(self.feed.key), _names(self.content))

    # -- pieces ---------------------------------------------------------------------------------------------

    def _best(self) -> sql.Composed:
        """The newest state of every key of this reading, instants made from epoch milliseconds."""
        fields = [self._as_stored(name) for name in self.columns]
        order = [sql.Identifier(name) for name in self.feed.key]
        newest = [*([self.feed.order] if self.feed.order else []), "_requested_at", "_page", "_row"]
        ordering = [*order, *(sql.SQL("{} DESC").format(sql.Identifier(name)) for name in newest)]
        return sql.SQL("SELECT DISTINCT ON ({}) {}, extra, _requested_at FROM {} ORDER BY {}").format(
            _list(order), _list(fields), INCOMING, _list(ordering)
        )

    def _as_stored(self, name: str) -> sql.Composable:
        if name in self.feed.codec.epoch_columns:
            # Integer times interval is exact; to_timestamp() would go through a float.
            return sql.SQL("'epoch'::timestamptz + {0} * interval '1 millisecond' AS {0}").format(sql.Identifier(name))
        return sql.Identifier(name)

    def _incoming_type(self, name: str) -> str:
        if name in _ORIGIN_TYPES:
            return _ORIGIN_TYPES[name]
        if name in self.feed.codec.epoch_columns:
            return "bigint"
        return self._type_of(name)

    def _type_of(self, name: str) -> str:
        column: Column[Any] = self.feed.table.c[name]
        if isinstance(column.type, DateTime):
            return "timestamptz"
        return str(column.type.compile(dialect=_DIALECT))

    def _changed(self) -> sql.Composed:
        changed = sql.SQL("({}) IS DISTINCT FROM ({})").format(
            _names(self.content, "t"), _names(self.content, "excluded")
        )
        if self.feed.snapshot:
            return sql.SQL("{} OR t.retired_at IS NOT NULL").format(changed)
        return sql.SQL("{}").format(changed)

    def _newer(self) -> sql.Composed:
        read_later = sql.SQL("excluded.last_changed_at >= t.last_changed_at AND NOT {}").format(
            self._covered(sql.SQL("excluded."))
        )
        if self.feed.order is None:
            return sql.SQL("({})").format(read_later)
        return sql.SQL("(excluded.{0} > t.{0} OR (excluded.{0} = t.{0} AND {1}))").format(
            sql.Identifier(self.feed.order), read_later
        )

    def _covered(self, prefix: sql.SQL) -> sql.Composed:
        """Whether a newer reading has covered the row's position since."""
        position = sql.SQL(self.feed.position.replace("{row}.", prefix.as_string(None)))
        return sql.SQL("({} <@ %(newer)s::tstzmultirange)").format(position)

    def _version_columns(self) -> list[str]:
        assert self.feed.versions is not None
        return [name for name in self.columns if name in self.feed.versions.c]

    def _versions_of_merged(self) -> sql.Composable:
        if self.feed.versions is None:
            return sql.SQL("")
        shared = self._version_columns()
        return sql.SQL(
            """, history AS (
    INSERT INTO {versions} (agent, {shared}, pulled_at, reading_id, load_id)
    SELECT agent, {shared}, last_changed_at, reading_id, load_id FROM merged
    ON CONFLICT DO NOTHING
)"""
        ).format(versions=_table(self.feed.versions), shared=_names(shared))

    def _on_key(self, left: str, right: str) -> sql.Composed:
        return sql.SQL("({}) = ({})").format(_names(self.feed.key, left), _names(self.feed.key, right))


def _table(table: Any) -> sql.Composable:
    return sql.Identifier(table.schema, table.name)


def _names(names: Iterable[str], prefix: str | None = None) -> sql.Composed:
    return _list(sql.Identifier(prefix, name) if prefix else sql.Identifier(name) for name in names)


def _list(items: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(items)
