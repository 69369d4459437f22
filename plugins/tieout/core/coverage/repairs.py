"""Repairs: slices within reach that are not certified, and will not be by any run that is on its way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from tieout.core.coverage.declared import PAUSE, Declared, key
from tieout.core.slices import Slice, stamp

#: A slice or a hole is left to its ordinary run for so long.
SETTLE = timedelta(hours=1)
#: A reading that was not loaded for so long after it landed will not be loaded by its own run.
LOAD_AFTER = timedelta(minutes=30)
#: A missing slice that is this near to being forgotten is read whoever else may come for it.
URGENT = timedelta(days=2)
BATCH_SLICES = 24
MAX_BATCHES = 500

_REPAIRS = f"""
WITH front AS (
    SELECT
        max(r.slice_start) FILTER (WHERE r.finished_at < now() - %(settle)s) AS at,
        coalesce(bool_or(r.kind = 'first' AND r.finished_at > now() - interval '1 hour'), false) AS moving
    FROM ops.readings AS r
    WHERE r.provider = %(provider)s AND r.feed = %(feed)s AND r.agent = %(agent)s
), found AS (
    SELECT
        s.slice_start, s.slice_end, s.status, s.deadline, r.unloaded, r.suspect, r.read_at,
        CASE
            WHEN r.loading THEN NULL
            WHEN r.unloaded IS NOT NULL THEN 'landed, never loaded'
            WHEN s.deadline < now() THEN NULL
            WHEN r.suspect > 0 AND (%(everything)s OR r.read_at + {PAUSE % "r.suspect"} <= now()) THEN 'suspect'
            WHEN r.suspect > 0 OR s.slice_end + a.lag >= now() - %(settle)s THEN NULL
            WHEN %(everything)s THEN 'missing'
            WHEN s.slice_start < front.at THEN 'missing, later slices were read'
            WHEN s.deadline < now() + %(urgent)s AND NOT front.moving AND a.first_known_at < now() - interval '1 hour'
                THEN 'missing, soon forgotten'
        END AS why
    FROM ops.slice_status AS s
    JOIN ops.agents AS a USING (provider, feed, agent)
    CROSS JOIN front
    CROSS JOIN LATERAL (
        SELECT
            array_agg(DISTINCT r.landing_uri) FILTER (
                WHERE r.state = 'landed' AND r.reason IS NULL AND r.finished_at < now() - %(load_after)s
            ) AS unloaded,
            coalesce(bool_or(r.state = 'landed' AND r.finished_at >= now() - %(load_after)s), false) AS loading,
            count(*) FILTER (WHERE r.state = 'suspect' OR (r.state = 'landed' AND r.reason IS NOT NULL)) AS suspect,
            max(r.finished_at) AS read_at
        FROM ops.readings AS r
        WHERE r.provider = s.provider AND r.feed = s.feed AND r.agent = s.agent
          AND r.slice_start < s.slice_end AND r.slice_end > s.slice_start
          AND r.slice_start > s.slice_start - interval '1 day'
    ) AS r
    WHERE s.provider = %(provider)s AND s.feed = %(feed)s AND s.agent = %(agent)s
      AND s.status IN ('suspect', 'landed', 'missing')
      AND s.slice_start < coalesce(%(until)s::timestamptz, 'infinity')
      AND s.slice_end > coalesce(%(since)s::timestamptz, '-infinity')
)
SELECT slice_start, slice_end, deadline, why, unloaded FROM found
WHERE why IS NOT NULL
ORDER BY deadline NULLS LAST, slice_start
"""

_IS_OPEN = """
SELECT status IN ('suspect', 'landed', 'missing') FROM ops.slice_status
WHERE provider = %(provider)s AND feed = %(feed)s AND agent = %(agent)s
  AND slice_start = %(start)s AND slice_end = %(end)s
"""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """A slice that wants mending, until when it can be had (None: no limit stated), and why.

    ``manifests``: readings in landing that were never loaded; loading them needs no call.
    """

    slice: Slice
    deadline: datetime | None
    why: str
    manifests: tuple[str, ...] = ()

    def __str__(self) -> str:
        until = "" if self.deadline is None else f", to be had until {stamp(self.deadline)}"
        return f"{self.slice} {self.why}{until}"


def repairs(
    connection: psycopg.Connection,
    feed: Declared,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    everything: bool = False,
    settle: timedelta = SETTLE,
) -> list[Repair]:
    """Return the slices of *feed* that want mending, the nearest deadline first, by the database's clock.

    - landed for more than 30 min and never loaded: to be loaded, without a call;
    - suspect: to be read again after a pause of 1 h, doubled with each suspect reading, at most a day;
    - missing for longer than *settle* after it was ready, and a later slice was read (the hole that a backfill leaves
      behind), or soon to be forgotten while no run works towards it.

    *everything*: all that is missing for so long, and what is suspect without a pause.

    What is just being landed is left to its run. *since*, *until*: only slices that meet this range.
    """
    parameters = {
        **key(feed), "since": since, "until": until, "everything": everything, "settle": settle,
        "load_after": LOAD_AFTER, "urgent": URGENT,
    }  # fmt: skip
    return [
        Repair(slice=Slice(start, end), deadline=deadline, why=why, manifests=tuple(sorted(unloaded or (), key=_name)))
        for start, end, deadline, why, unloaded in connection.execute(_REPAIRS, parameters).fetchall()
    ]


def is_open(connection: psycopg.Connection, feed: Declared, slice_: Slice) -> bool:
    """Return whether the slice is expected and still neither certified nor lost."""
    row = connection.execute(_IS_OPEN, {**key(feed), "start": slice_.start, "end": slice_.end}).fetchone()
    return row is not None and bool(row[0])


@dataclass(frozen=True, kw_only=True)
class Batch:
    """At most ``BATCH_SLICES`` slices of one agent's feed, as a range: what it holds is asked again when it runs."""

    provider: str
    feed: str
    agent: str
    range: Slice
    slices: int
    loads: int
    deadline: datetime | None

    def as_json(self) -> dict[str, object]:
        """Return what a mapped task needs."""
        return {
            "provider": self.provider, "feed": self.feed, "agent": self.agent, "from": stamp(self.range.start),
            "to": stamp(self.range.end), "name": f"{self.provider} {self.feed} {self.agent} {self.range}",
        }  # fmt: skip


def plan_batches(found: Iterable[tuple[Declared, Sequence[Repair]]], *, limit: int = MAX_BATCHES) -> list[Batch]:
    """Return batches of each feed's repairs (given by deadline), those nearest to a deadline first, *limit* at most."""
    batches = [
        _batch(feed, wanted[first : first + BATCH_SLICES])
        for feed, wanted in found
        for first in range(0, len(wanted), BATCH_SLICES)
    ]
    batches.sort(key=lambda batch: (batch.deadline or datetime.max.replace(tzinfo=UTC), batch.range))
    return batches[:limit]


def _batch(feed: Declared, wanted: Sequence[Repair]) -> Batch:
    return Batch(
        provider=feed.spec.provider,
        feed=feed.spec.name,
        agent=feed.agent,
        # A feed's slices have one reach: by deadline they are in order.
        range=Slice(wanted[0].slice.start, wanted[-1].slice.end),
        slices=len(wanted),
        loads=sum(bool(repair.manifests) for repair in wanted),
        deadline=wanted[0].deadline,
    )


def _name(uri: str) -> str:
    """The reading's folder, whose name sorts by time."""
    return uri.rsplit("/", 2)[-2]
