"""The temporary table a load copies into: what came is counted, and what cannot be right is taken out."""

from __future__ import annotations

from psycopg import sql

from tieout.core.feed_sql import INCOMING, SLICES, FeedSql, listed, names


class IncomingSql(FeedSql):
    """Statements about what came, before anything is written."""

    def create_incoming(self, agent: str) -> sql.Composed:
        """Create the temporary table. It has the agent as a column, so that joins are planned by what keys say.

        Of an agent given as a constant, statistics that never saw it say that it has next to no rows.
        """
        fields = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(self.incoming_type(name))) for name in self.copied
        ]
        return sql.SQL(
            """CREATE TEMP TABLE {} ({}, agent text COLLATE "C" NOT NULL DEFAULT {}) ON COMMIT DROP"""
        ).format(INCOMING, listed(fields), sql.Literal(agent))

    def copy_in(self) -> sql.Composed:
        """COPY rows into the temporary table."""
        return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(INCOMING, names(self.copied))

    def analyze(self) -> tuple[sql.Composed, ...]:
        """Tell the planner how many rows there are and that their keys differ; no other column decides a plan."""
        return (
            sql.SQL("SET LOCAL default_statistics_target = 10").format(),
            sql.SQL("ANALYZE {} (agent, {})").format(INCOMING, names(self.feed.key)),
        )

    def count_windows(self) -> sql.Composed:
        """Count the reading's rows and distinct keys of each window: (window, rows, keys)."""
        return sql.SQL(
            """SELECT _window, sum(n)::bigint, count(*) FROM (
                   SELECT _window, count(*) AS n FROM {} WHERE _reading = 0 GROUP BY _window, {}
               ) AS k GROUP BY _window"""
        ).format(INCOMING, names(self.feed.key))

    def count_keys(self) -> sql.Composed:
        """Count the reading's distinct keys over all windows."""
        return sql.SQL("SELECT count(*) FROM (SELECT DISTINCT {} FROM {} WHERE _reading = 0) AS k").format(
            names(self.feed.key), INCOMING
        )

    def count_slices(self) -> sql.Composed:
        """Count the reading's rows and distinct keys in each of several slices: (slice number from 1, rows, keys)."""
        return sql.SQL(
            """SELECT s.n, count(*), count(DISTINCT ({key}))
               FROM {incoming} AS i JOIN {slices} ON {inside}
               WHERE i._reading = 0 GROUP BY s.n"""
        ).format(
            key=names(self.feed.key, "i"),
            incoming=INCOMING,
            slices=SLICES,
            inside=self.inside("i"),
        )

    def reject_duplicates(self) -> sql.Composed:
        """Take rows out that stand in one window under one key with different contents; returns (page, row).

        What the ``order`` column tells apart are two states of one row, no duplicates. Of duplicates the one on the
        latest page stays; where even the page is the same, none stays.
        """
        same = (*self.feed.key, *self.order_columns())
        return sql.SQL(
            """
WITH twice AS (
    SELECT _window, {key} FROM {incoming} WHERE _reading = 0
    GROUP BY _window, {key} HAVING count(DISTINCT ({content})) > 1
), ranked AS (
    SELECT i.ctid AS place, i._window, {i_key}, ({i_content}) AS content,
           rank() OVER (PARTITION BY i._window, {i_key} ORDER BY i._page DESC) AS rank
    FROM {incoming} AS i JOIN twice AS d ON (i._window, {i_key}) = (d._window, {d_key})
    WHERE i._reading = 0
), newest AS (
    SELECT _window, {key}, array_agg(content) AS contents, count(DISTINCT content) AS differing
    FROM ranked WHERE rank = 1 GROUP BY _window, {key}
)
DELETE FROM {incoming} AS i USING ranked AS r JOIN newest AS n ON (r._window, {r_key}) = (n._window, {n_key})
WHERE i.ctid = r.place AND (n.differing > 1 OR r.content IS DISTINCT FROM n.contents[1])
RETURNING i._page, i._row"""
        ).format(
            incoming=INCOMING,
            key=names(same),
            content=names(self.content),
            i_key=names(same, "i"),
            i_content=names(self.content, "i"),
            d_key=names(same, "d"),
            r_key=names(same, "r"),
            n_key=names(same, "n"),
        )

    def reject_collisions(self) -> sql.Composed | None:
        """Take rows out whose immutable fields are not those stored under the key; returns (reading, page, row)."""
        if not self.feed.immutable:
            return None
        return sql.SQL(
            """DELETE FROM {incoming} AS i USING {target} AS t
               WHERE t.agent = i.agent AND {on_key} AND ({incoming_fields}) IS DISTINCT FROM ({stored_fields})
               RETURNING i._reading, i._page, i._row"""
        ).format(
            incoming=INCOMING,
            target=self.target,
            on_key=self.on_key("t", "i"),
            incoming_fields=names(self.feed.immutable, "i"),
            stored_fields=names(self.feed.immutable, "t"),
        )

    def reject_collisions_inside(self) -> sql.Composed | None:
        """Take rows out whose immutable fields are not those the key was first seen with; as reject_collisions."""
        if not self.feed.immutable:
            return None
        return sql.SQL(
            """DELETE FROM {incoming} AS i USING (
                   SELECT DISTINCT ON ({key}) {key}, {fields} FROM {incoming}
                   ORDER BY {key}, _requested_at, _page, _row
               ) AS f
               WHERE {on_key} AND ({incoming_fields}) IS DISTINCT FROM ({first_fields})
               RETURNING i._reading, i._page, i._row"""
        ).format(
            incoming=INCOMING,
            key=names(self.feed.key),
            fields=names(self.feed.immutable),
            on_key=self.on_key("f", "i"),
            incoming_fields=names(self.feed.immutable, "i"),
            first_fields=names(self.feed.immutable, "f"),
        )
