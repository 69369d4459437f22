"""Coverage at a glance: how many slices of each feed are in which state, and what will be forgotten first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from tieout.core.coverage.declared import plain, text_table
from tieout.core.slices import stamp

STATUSES = ("certified", "due", "landed", "missing", "suspect", "lost")

_COVERAGE = """
SELECT
    provider, feed, agent,
    count(*) FILTER (WHERE status = 'certified') AS certified,
    count(*) FILTER (WHERE status = 'due') AS due,
    count(*) FILTER (WHERE status = 'landed') AS landed,
    count(*) FILTER (WHERE status = 'missing') AS missing,
    count(*) FILTER (WHERE status = 'suspect') AS suspect,
    count(*) FILTER (WHERE status = 'lost' AND deadline >= first_known_at) AS lost,
    min(slice_start) FILTER (WHERE status IN ('missing', 'suspect', 'landed')) AS oldest_open,
    min(deadline) FILTER (WHERE status IN ('missing', 'suspect') AND deadline >= now()) AS deadline,
    now() AS as_of
FROM ops.slice_status
JOIN ops.agents USING (provider, feed, agent)
WHERE (%(provider)s::text IS NULL OR provider = %(provider)s) AND (%(agent)s::text IS NULL OR agent = %(agent)s)
GROUP BY provider, feed, agent
ORDER BY provider, feed, agent
"""


@dataclass(frozen=True, kw_only=True)
class FeedCoverage:
    """Expected slices of one feed by status; ``deadline``: until when the first of the open ones can still be had.

    ``lost`` counts only what had not been forgotten already when the feed was first declared.
    """

    provider: str
    feed: str
    agent: str
    certified: int
    due: int
    landed: int
    missing: int
    suspect: int
    lost: int
    oldest_open: datetime | None
    deadline: datetime | None
    as_of: datetime

    @property
    def open(self) -> int:
        """Slices that could be certified and are not."""
        return self.landed + self.missing + self.suspect


def feed_coverage(
    connection: psycopg.Connection, *, provider: str | None = None, agent: str | None = None
) -> list[FeedCoverage]:
    """Return the coverage of every feed the ledger knows, by the database's clock."""
    with connection.cursor(row_factory=class_row(FeedCoverage)) as cursor:
        return cursor.execute(_COVERAGE, {"provider": provider, "agent": agent}).fetchall()


def coverage_table(found: Sequence[FeedCoverage]) -> str:
    """Return the coverage as a table for a terminal or a task's log."""
    rows = [
        (
            f"{entry.provider} {entry.feed}",
            entry.agent,
            *(getattr(entry, status) for status in STATUSES),
            None if entry.oldest_open is None else stamp(entry.oldest_open),
            None if entry.deadline is None else f"{stamp(entry.deadline)} (in {plain(entry.deadline - entry.as_of)})",
        )
        for entry in found
    ]
    return text_table(("feed", "agent", *STATUSES, "oldest open", "first to be forgotten"), rows)
