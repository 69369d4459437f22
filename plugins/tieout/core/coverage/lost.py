"""Lost: time that no reading covers and the provider has forgotten, written down once and never silently.

``ops.lost`` holds one row per gap, as it is now: adjoining lost slices are one gap, what was certified after all
(replayed from landing) is taken out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from tieout.core.slices import Slice

#: What was within so much of being forgotten when its feed was first declared, no run could have read in time: the
#: scheduler keeps as much clear of the horizon.
GRACE = timedelta(hours=6)

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tieout:lost', 0))"

# A slice is lost as a whole; the gap is what of it no certified reading covers. What the provider had forgotten when
# the feed was first declared was never the agent's to read. Most feeds have lost nothing: whether anything before the
# horizon is uncovered is asked first, and costs far less than looking at each of their slices.
_GAPS = """
WITH suspicious AS MATERIALIZED (
    SELECT a.provider, a.feed, a.agent
    FROM ops.agents AS a
    CROSS JOIN LATERAL (
        SELECT
            make_interval(secs => extract(epoch FROM a.slice_width)::double precision) AS width,
            greatest(a.start_at, a.first_known_at - a.reach) AS since
    ) AS w
    CROSS JOIN LATERAL (
        SELECT date_bin(w.width, w.since, timestamptz '2000-01-01 00:00+00' + a.slice_anchor) AS floor
    ) AS f
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN f.floor < w.since THEN f.floor + w.width ELSE f.floor END AS since,
            least(now() - a.reach, a.stop_at) AS until
    ) AS own
    WHERE own.since < own.until AND NOT coalesce((
        SELECT range_agg(tstzrange(r.slice_start, r.slice_end)) FROM ops.readings AS r
        WHERE r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent
          AND r.state = 'certified' AND r.g_types @> a.g_types
          AND r.slice_start < own.until AND r.slice_end > own.since
    ), '{}') @> tstzrange(own.since, own.until)
), slices AS MATERIALIZED (
    SELECT
        s.provider, s.feed, s.agent, tstzrange(s.slice_start, s.slice_end) AS covers,
        s.deadline > a.first_known_at + %(grace)s AS savable
    FROM suspicious
    JOIN ops.agents AS a USING (provider, feed, agent)
    JOIN ops.slice_status AS s USING (provider, feed, agent)
    WHERE s.status = 'lost' AND s.deadline >= a.first_known_at
), forgotten AS (
    SELECT provider, feed, agent, range_agg(covers) AS ranges FROM slices GROUP BY provider, feed, agent
), certified AS (
    SELECT f.provider, f.feed, f.agent, range_agg(tstzrange(r.slice_start, r.slice_end)) AS ranges
    FROM forgotten AS f
    JOIN ops.agents AS a USING (provider, feed, agent)
    JOIN ops.readings AS r USING (provider, feed, agent)
    WHERE r.state = 'certified' AND r.g_types @> a.g_types
    GROUP BY f.provider, f.feed, f.agent
), gaps AS (
    SELECT f.provider, f.feed, f.agent, unnest(f.ranges - coalesce(c.ranges, '{}')) AS gap
    FROM forgotten AS f
    LEFT JOIN certified AS c USING (provider, feed, agent)
)
SELECT
    g.provider, g.feed, g.agent, lower(g.gap) AS start, upper(g.gap) AS "end", a.reach,
    count(*) AS slices, count(*) FILTER (WHERE s.savable) AS savable
FROM gaps AS g
JOIN ops.agents AS a USING (provider, feed, agent)
JOIN slices AS s USING (provider, feed, agent)
WHERE s.covers && g.gap
GROUP BY g.provider, g.feed, g.agent, g.gap, a.reach
ORDER BY g.provider, g.feed, g.agent, g.gap
"""

_RECORDED = """
SELECT provider, feed, agent, gap_start AS start, gap_end AS "end", slices, slices AS savable,
       NULL::interval AS reach, recorded_at, grown_at
FROM ops.lost ORDER BY provider, feed, agent, gap_start
"""

_WRITE = """
INSERT INTO ops.lost (provider, feed, agent, gap_start, gap_end, slices, recorded_at, grown_at)
VALUES (%s, %s, %s, %s, %s, %s, coalesce(%s, now()), coalesce(%s, now()))
"""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Lost time of one feed of one agent. ``savable``: how many of its slices a run could have read in time."""

    provider: str
    feed: str
    agent: str
    start: datetime
    end: datetime
    slices: int
    savable: int
    reach: timedelta | None
    recorded_at: datetime | None = None
    grown_at: datetime | None = None

    @property
    def range(self) -> Slice:
        """The time that is lost."""
        return Slice(self.start, self.end)

    @property
    def name(self) -> tuple[str, str, str]:
        """Provider, feed, agent."""
        return self.provider, self.feed, self.agent

    def touches(self, other: Gap) -> bool:
        """Whether both are one gap: of the same feed, overlapping or adjoining."""
        return self.name == other.name and self.start <= other.end and other.start <= self.end

    def __str__(self) -> str:
        reach = "" if self.reach is None else f", the provider answers {self.reach.days} days back"
        return f"{self.provider} {self.feed} agent={self.agent} {self.range}: {self.slices} slice(s){reach}"


@dataclass(frozen=True, kw_only=True)
class LostReport:
    """All ``gaps``, and what changed: ``new`` ones, ones that have ``grown``, and ones that ``healed``.

    The healed ones stand as they were recorded; what of them is still lost is among ``gaps``.
    """

    gaps: tuple[Gap, ...]
    new: tuple[Gap, ...]
    grown: tuple[Gap, ...]
    healed: tuple[Gap, ...]

    @property
    def alarming(self) -> tuple[Gap, ...]:
        """The new gaps of which something could have been saved."""
        return tuple(gap for gap in self.new if gap.savable)


def record_lost(connection: psycopg.Connection) -> LostReport:
    """Write ``ops.lost`` anew from the ledger and return what changed; the caller commits.

    Only time that the agent answers for counts (``ops.slice_status``). A gap that grows keeps when it was recorded; one
    that meets an older one is part of it. Two calls at once wait for each other.
    """
    connection.execute(_LOCK)
    with connection.cursor(row_factory=class_row(Gap)) as cursor:
        recorded = cursor.execute(_RECORDED).fetchall()
        found = cursor.execute(_GAPS, {"grace": GRACE}).fetchall()
    new, grown, kept = _compare(found, recorded)
    healed = tuple(old for old in recorded if not any(_inside(old, gap) for gap in found))
    if new or grown or healed:
        _write(connection, [*new, *grown, *kept])
    return LostReport(gaps=tuple(found), new=tuple(new), grown=tuple(grown), healed=healed)


def _compare(found: Sequence[Gap], recorded: Sequence[Gap]) -> tuple[list[Gap], list[Gap], list[Gap]]:
    new, grown, kept = [], [], []
    for gap in found:
        before = [old for old in recorded if old.touches(gap)]
        if not before:
            new.append(gap)
            continue
        since = min(old.recorded_at for old in before if old.recorded_at is not None)
        if any(_inside(gap, old) for old in before):
            kept.append(_dated(gap, since, before[0].grown_at))
        else:
            grown.append(_dated(gap, since, None))
    return new, grown, kept


def _inside(inner: Gap, outer: Gap) -> bool:
    return inner.name == outer.name and outer.start <= inner.start and inner.end <= outer.end


def _dated(gap: Gap, recorded_at: datetime, grown_at: datetime | None) -> Gap:
    return Gap(**{**gap.__dict__, "recorded_at": recorded_at, "grown_at": grown_at})


def _write(connection: psycopg.Connection, gaps: Sequence[Gap]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ops.lost")
        cursor.executemany(
            _WRITE,
            [(*gap.name, gap.start, gap.end, gap.slices, gap.recorded_at, gap.grown_at) for gap in gaps],
        )
