"""The certified time of every feed, written down by the monitor: adding up a thousand feeds' readings takes seconds."""

from __future__ import annotations

import psycopg

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tieout:certified', 0))"

# Anew from the readings each time: whatever was done to the ledger by hand, it is right again with the next run.
_WRITE = """
INSERT INTO ops.certified AS c (provider, feed, agent, g_types, ranges, active, as_of)
SELECT a.provider, a.feed, a.agent, a.g_types, coalesce(r.ranges, '{}'), coalesce(r.active, '{}'), now()
FROM ops.agents AS a
CROSS JOIN LATERAL (
    SELECT
        range_agg(tstzrange(r.slice_start, r.slice_end))
            FILTER (WHERE r.state = 'certified' AND r.g_types @> a.g_types) AS ranges,
        range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.rows > 0) AS active
    FROM ops.readings AS r
    WHERE r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent
) AS r
ON CONFLICT (provider, feed, agent) DO UPDATE SET
    g_types = excluded.g_types, ranges = excluded.ranges, active = excluded.active, as_of = excluded.as_of
"""

_FORGET = """
DELETE FROM ops.certified AS c WHERE NOT EXISTS (
    SELECT FROM ops.agents AS a WHERE a.provider = c.provider AND a.feed = c.feed AND a.agent = c.agent
)
"""


def remember_certified(connection: psycopg.Connection) -> int:
    """Write ``ops.certified`` anew for every declared feed and return how many there are; the caller commits.

    ``ops.proofs`` adds what was loaded since. All rows are as of one instant; two calls at once wait for each other.
    """
    connection.execute(_LOCK)
    connection.execute(_FORGET)
    return connection.execute(_WRITE).rowcount
