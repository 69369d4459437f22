"""Revisits: certified slices that are due to be read again, because providers restate what they have reported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import psycopg

from tieout.core.clock import EPOCH
from tieout.core.coverage.declared import PAUSE, Declared, key
from tieout.core.slices import Slice

#: Slices of one feed that one run looks at; at most this many stay for it, the oldest first.
MAX_DUE = 2000

_DUE = f"""
SELECT s.slice_start, s.slice_end
FROM ops.slice_status AS s
JOIN ops.agents AS a USING (provider, feed, agent)
CROSS JOIN LATERAL (
    SELECT max(s.slice_end + age) AS since FROM unnest(%(ages)s::interval[]) AS age WHERE s.slice_end + age <= now()
) AS asked
CROSS JOIN LATERAL (
    SELECT
        coalesce(range_agg(tstzrange(r.slice_start, r.slice_end))
            FILTER (WHERE r.state = 'certified' AND r.g_types @> a.g_types), '{{}}') AS certified,
        count(*) FILTER (WHERE r.state = 'suspect') AS suspect,
        max(r.finished_at) FILTER (WHERE r.state = 'suspect') AS suspect_at
    FROM ops.readings AS r
    WHERE r.provider = s.provider AND r.feed = s.feed AND r.agent = s.agent AND r.pulled_at >= asked.since
      AND r.slice_start < s.slice_end AND r.slice_end > s.slice_start
      AND r.slice_start > s.slice_start - interval '1 day'
) AS again
WHERE s.provider = %(provider)s AND s.feed = %(feed)s AND s.agent = %(agent)s
  AND s.status = 'certified' AND asked.since IS NOT NULL
  AND (s.deadline IS NULL OR s.deadline >= now())
  AND NOT again.certified @> tstzrange(s.slice_start, s.slice_end)
  AND (again.suspect = 0 OR again.suspect_at + {PAUSE % "again.suspect"} <= now())
ORDER BY s.slice_start
LIMIT %(limit)s
"""

_CALLS = """
SELECT coalesce(avg(pages), 0)::double precision FROM (
    SELECT r.pages FROM ops.readings AS r
    WHERE r.provider = %(provider)s AND r.feed = %(feed)s AND r.agent = %(agent)s
      AND r.kind <> 'revisit' AND r.slice_end - r.slice_start = %(width)s
    ORDER BY r.slice_start DESC LIMIT 500
) AS recent
"""


def due_revisits(
    connection: psycopg.Connection, feed: Declared, *, ages: Sequence[timedelta] | None = None, limit: int = MAX_DUE
) -> list[Slice]:
    """Return the slices of *feed* that are due to be read again, the one nearest to its deadline first.

    A slice is due when it is certified and within reach, and was not read, as a whole, since its end + a, for the
    largest age a (*ages*: as declared for the feed) that has passed, by the database's clock. So a slice that was
    first read after its last age is never due. One whose revisit was suspect waits for a pause that grows.
    """
    parameters = {**key(feed), "ages": list(feed.revisits if ages is None else ages), "limit": limit}
    return [Slice(start, end) for start, end in connection.execute(_DUE, parameters).fetchall()]


def join_slices(slices: Sequence[Slice], width: timedelta) -> list[tuple[Slice, ...]]:
    """Return *slices* (in order) as groups of adjoining ones, each at most *width* wide unless it is a single slice."""
    groups: list[list[Slice]] = []
    for slice_ in slices:
        if groups and groups[-1][-1].end == slice_.start and slice_.end - groups[-1][0].start <= width:
            groups[-1].append(slice_)
        else:
            groups.append([slice_])
    return [tuple(group) for group in groups]


def expected_calls(connection: psycopg.Connection, feed: Declared) -> float:
    """Return how many calls one slice takes: its windows, or as many pages as its slices had lately."""
    (pages,) = connection.execute(_CALLS, {**key(feed), "width": feed.slice_width}).fetchone() or (0.0,)
    return max(float(pages), float(_windows(feed)))


def _windows(feed: Declared) -> int:
    """How many windows a slice is read in; slices are of one width, so any of them tells."""
    start = EPOCH + feed.spec.slice_anchor
    return sum(1 for _ in feed.spec.windows(Slice(start, start + feed.slice_width), feed.options))
