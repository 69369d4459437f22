"""The SQL of a load: one merge that writes only what really changed.

What a feed's tables hold is a function of what was observed, not of the order in which it was loaded. An observation
is a row of an answer; observations of one key are ordered by (the feed's ``order`` column where it has one, the
request instant of the answer, page, row). The last one is the row; the instants at which its content began and at
which the key was first seen are its provenance; the runs of equal content, by request instant, are its history.

Usually a reading is newer than all that is stored and shows every key once: the *simple* source. Otherwise the
readings that were made later are read again beside it, and the *general* source works out runs by windows.
"""

from __future__ import annotations

from psycopg import sql

from tieout.core.feed_sql import INCOMING, READING_ID, SLICES, FeedSql, listed, names
from tieout.core.history import HistorySql


class MergeSql(FeedSql):
    """Statements that bring a feed's table to what was observed."""

    def merge(self, *, general: bool, slices: int) -> sql.Composed:
        """Write what changed; returns (slice number from 1, inserted, updated)."""
        assignments: list[sql.Composable] = [
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in (*self.content, "reading_id", "load_id", "last_changed_at")
        ]
        if self.feed.snapshot:
            assignments.append(sql.SQL("retired_at = NULL"))
        return sql.SQL(
            """
WITH source AS ({source}), merged AS (
    INSERT INTO {target} AS t (agent, {columns}, extra, reading_id, load_id, first_seen_at, last_changed_at)
    SELECT agent, {columns}, extra, {reading}, %(load_id)s, _first, _began FROM source AS e
    -- Also a conflict that changes nothing would lock its row, and locking writes to the log.
    WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE t.agent = e.agent AND {on_key} AND NOT ({known}))
    ON CONFLICT (agent, {key}) DO UPDATE SET {assignments}
    WHERE ({changed}) AND {newer} AND {same}
    RETURNING t.*, (xmax = 0) AS _inserted
){history}
SELECT {number}, count(*) FILTER (WHERE _inserted), count(*) FILTER (WHERE NOT _inserted)
FROM merged AS m {slices} GROUP BY 1"""
        ).format(
            source=self._source(general=general),
            target=self.target,
            columns=names(self.columns),
            reading=READING_ID,
            key=names(self.feed.key),
            assignments=listed(assignments),
            on_key=self.on_key("t", "e"),
            known=self._changed("e"),
            changed=self._changed("excluded"),
            newer=self._newer(),
            same=self._same_immutable("excluded"),
            # Where a key has several observations, their runs are worked out after the merge.
            history=sql.SQL("") if general else HistorySql(self.feed).of_merged(),
            number=sql.SQL("coalesce(s.n, 1)" if slices > 1 else "1"),
            slices=sql.SQL("LEFT JOIN {} ON {}").format(SLICES, self.inside("m")) if slices > 1 else sql.SQL(""),
        )

    def look_at_unmerged(self) -> sql.Composed:
        """Say of rows that changed nothing (simple source) whether any (collides, is history, moves provenance)."""
        return sql.SQL(
            """WITH source AS ({source})
               SELECT coalesce(bool_or(NOT {same}), false), coalesce(bool_or({changed}), false),
                      coalesce(bool_or({moves}), false)
               FROM source AS e JOIN {target} AS t ON t.agent = e.agent AND {on_key}"""
        ).format(
            source=self._source(general=False),
            same=self._same_immutable("e"),
            changed=self.differs("e"),
            moves=self._moves_provenance(),
            target=self.target,
            on_key=self.on_key("t", "e"),
        )

    def mend_provenance(self, *, general: bool) -> sql.Composed:
        """Correct first_seen_at, last_changed_at and reading_id of rows whose content an older reading confirms."""
        return sql.SQL(
            """WITH source AS ({source})
               UPDATE {target} AS t SET first_seen_at = least(t.first_seen_at, e._first),
                   last_changed_at = CASE WHEN {began} THEN e._began ELSE t.last_changed_at END,
                   reading_id = CASE WHEN {began} THEN {reading} ELSE t.reading_id END
               FROM source AS e WHERE t.agent = e.agent AND {on_key} AND {same} AND {moves}"""
        ).format(
            source=self._source(general=general),
            target=self.target,
            began=self._began_elsewhere(),
            reading=READING_ID,
            on_key=self.on_key("t", "e"),
            same=self._same_immutable("e"),
            moves=self._moves_provenance(),
        )

    def retire(self) -> sql.Composed | None:
        """Retire rows of the windows read that neither this reading shows nor a later one; None unless a snapshot feed.

        Parameters besides the merge's: ``scope`` (JSON array of the windows' key columns), ``retired_at``,
        ``reading_id`` and ``reading`` (its number in the temporary table).
        """
        if not self.feed.snapshot:
            return None
        scope = [name for name in self.feed.key if name in self.feed.window_columns]
        types = [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(self.type_of(n))) for n in scope]
        return sql.SQL(
            """
WITH scope AS (SELECT * FROM jsonb_to_recordset(%(scope)s) AS s({types}))
UPDATE {target} AS t SET retired_at = %(retired_at)s, last_changed_at = %(retired_at)s,
       reading_id = %(reading_id)s, load_id = %(load_id)s
FROM scope AS s
WHERE t.agent = %(agent)s AND ({t_scope}) = ({s_scope}) AND t.retired_at IS NULL
  AND t.last_changed_at <= %(retired_at)s
  AND NOT EXISTS (
      SELECT FROM {incoming} AS i
      WHERE {on_key} AND (i._reading = %(reading)s OR i._requested_at >= %(retired_at)s)
  )"""
        ).format(
            types=listed(types),
            target=self.target,
            incoming=INCOMING,
            t_scope=names(scope, "t"),
            s_scope=names(scope, "s"),
            on_key=self.on_key("t", "i"),
        )

    def _source(self, *, general: bool) -> sql.Composed:
        """One row a key: its newest state, since when (``_began``), what came before that, when it was first seen."""
        if not general:
            return sql.SQL(
                """SELECT agent, {}, extra, _reading, _requested_at AS _began, _requested_at AS _first,
                          NULL::timestamptz AS _before FROM {}"""
            ).format(names(self.columns), INCOMING)
        key, order = names(self.feed.key), names((*self.order_columns(), "_requested_at", "_page", "_row"))
        newest_first = [sql.SQL("{} DESC").format(sql.Identifier(name)) for name in self.order_columns()]
        newest_first += [sql.SQL("{} DESC").format(sql.Identifier(n)) for n in ("_requested_at", "_page", "_row")]
        return sql.SQL(
            """SELECT DISTINCT ON ({key}) agent, {stored}, extra,
                      first_value(_reading) OVER run AS _reading, first_value(_requested_at) OVER run AS _began,
                      first_value(_previous) OVER run AS _before, min(_requested_at) OVER (PARTITION BY {key}) AS _first
               FROM (
                   SELECT *, count(*) FILTER (WHERE _differs) OVER (PARTITION BY {key} ORDER BY {order}) AS _run
                   FROM (
                       SELECT *, lag(_requested_at) OVER by_order AS _previous,
                              lag(ROW({content})) OVER by_order IS DISTINCT FROM ROW({content}) AS _differs
                       FROM {incoming} WINDOW by_order AS (PARTITION BY {key} ORDER BY {order})
                   ) AS compared
               ) AS numbered
               WINDOW run AS (PARTITION BY {key}, _run ORDER BY {order})
               ORDER BY {key}, {newest_first}"""
        ).format(
            key=key,
            stored=names(self.columns),
            content=names(self.content),
            incoming=INCOMING,
            order=order,
            newest_first=listed(newest_first),
        )

    def _changed(self, other: str) -> sql.Composed:
        differs = self.differs(other)
        return sql.SQL("{} OR t.retired_at IS NOT NULL").format(differs) if self.feed.snapshot else differs

    def _newer(self) -> sql.Composed:
        read_later = sql.SQL("excluded.last_changed_at >= t.last_changed_at")
        if self.feed.order is None:
            return sql.SQL("({})").format(read_later)
        return sql.SQL("(excluded.{0} > t.{0} OR (excluded.{0} = t.{0} AND {1}))").format(
            sql.Identifier(self.feed.order), read_later
        )

    def _same_immutable(self, other: str) -> sql.Composable:
        if not self.feed.immutable:
            return sql.SQL("true")
        return sql.SQL("({}) IS NOT DISTINCT FROM ({})").format(
            names(self.feed.immutable, "t"), names(self.feed.immutable, other)
        )

    def _moves_provenance(self) -> sql.Composed:
        return sql.SQL("(e._first < t.first_seen_at OR {})").format(self._began_elsewhere())

    def _began_elsewhere(self) -> sql.Composable:
        """Whether the row's content began at another instant than stored; a snapshot's row may have been away since."""
        if self.feed.snapshot:
            return sql.SQL("false")
        return sql.SQL(
            "(%(complete)s AND NOT ({}) AND (e._began < t.last_changed_at OR e._before > t.last_changed_at))"
        ).format(self.differs("e"))
