"""The SQL of the history tables: every state of a row that was ever read, one row per run of equal content."""

from __future__ import annotations

from psycopg import sql

from tieout.core.feed_sql import INCOMING, FeedSql, names, table_of


class HistorySql(FeedSql):
    """Statements for the versions table of a feed that has one."""

    def mend_history(self, *, general: bool) -> sql.Composed | None:
        """Work out the runs of equal content again, where an observation differs from its row; None without history.

        An observation that the ``order`` column shows to be older than one made before it is stale: no state of its
        own time, and no part of the history.
        """
        if self.feed.versions is None:
            return None
        shared = self.version_columns()
        content = [name for name in shared if name not in self.feed.key]
        rank = self.feed.order
        earlier = sql.SQL("{} OR i._requested_at < t.last_changed_at").format(self.differs("i"))
        touched = sql.SQL("true") if general else earlier
        return sql.SQL(
            """
WITH touched AS (
    SELECT DISTINCT i.agent, {i_key} FROM {incoming} AS i JOIN {target} AS t ON t.agent = i.agent AND {t_on_i}
    WHERE {touched}
), seen AS (
    SELECT {v_shared}, v.pulled_at AS at, true AS is_stored, v.reading_id
    FROM {versions} AS v JOIN touched AS k ON v.agent = k.agent AND {v_on_k}
    UNION ALL
    SELECT {i_shared}, i._requested_at, false, (%(readings)s::text[])[i._reading + 1]
    FROM {incoming} AS i JOIN touched AS k ON {i_on_k}
), ranked AS (
    SELECT *, {stale} AS stale FROM seen
    WINDOW by_time AS (PARTITION BY {key} ORDER BY at, is_stored DESC ROWS UNBOUNDED PRECEDING)
), runs AS (
    SELECT *, row_number() OVER by_time = 1
              OR lag(ROW({content})) OVER by_time IS DISTINCT FROM ROW({content}) AS begins
    FROM ranked WHERE NOT stale
    WINDOW by_time AS (PARTITION BY {key} ORDER BY at, is_stored DESC)
), gone AS (
    DELETE FROM {versions} AS v USING (
        SELECT {key}, at FROM ranked WHERE is_stored AND stale
        UNION ALL SELECT {key}, at FROM runs WHERE is_stored AND NOT begins
    ) AS o
    WHERE v.agent = %(agent)s AND {v_on_o} AND v.pulled_at = o.at
)
INSERT INTO {versions} (agent, {shared}, pulled_at, reading_id, load_id)
SELECT %(agent)s, {shared}, at, reading_id, %(load_id)s FROM runs WHERE begins AND NOT is_stored
ON CONFLICT DO NOTHING"""
        ).format(
            incoming=INCOMING,
            target=self.target,
            versions=table_of(self.feed.versions),
            touched=touched,
            key=names(self.feed.key),
            i_key=names(self.feed.key, "i"),
            shared=names(shared),
            v_shared=names(shared, "v"),
            i_shared=names(shared, "i"),
            content=names(content),
            stale=sql.SQL("{0} < max({0}) OVER by_time").format(sql.Identifier(rank)) if rank else sql.SQL("false"),
            t_on_i=self.on_key("t", "i"),
            v_on_k=self.on_key("v", "k"),
            i_on_k=self.on_key("i", "k"),
            v_on_o=self.on_key("v", "o"),
        )

    def of_merged(self) -> sql.Composable:
        if self.feed.versions is None:
            return sql.SQL("")
        shared = self.version_columns()
        content = [name for name in shared if name not in self.feed.key]
        return sql.SQL(
            """, history AS (
    INSERT INTO {versions} (agent, {shared}, pulled_at, reading_id, load_id)
    SELECT agent, {shared}, last_changed_at, reading_id, load_id FROM merged AS m
    WHERE m._inserted OR NOT EXISTS (
        SELECT FROM {versions} AS v
        WHERE v.agent = m.agent AND {v_on_m} AND ({v_content}) IS NOT DISTINCT FROM ({m_content})
          AND v.pulled_at = (SELECT max(n.pulled_at) FROM {versions} AS n WHERE n.agent = m.agent AND {n_on_m})
    )
    ON CONFLICT DO NOTHING
)"""
        ).format(
            versions=table_of(self.feed.versions),
            shared=names(shared),
            v_on_m=self.on_key("v", "m"),
            n_on_m=self.on_key("n", "m"),
            v_content=names(content, "v"),
            m_content=names(content, "m"),
        )
