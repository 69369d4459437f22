"""The ledger: certificates of readings, declared agents, and what they prove about coverage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from tieout.core.landing import Manifest
from tieout.core.slices import Slice


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a loaded reading proves of one slice: ``state`` is certified or suspect; counts are of natural keys.

    ``rows`` counts rows, duplicates included.
    """

    reading_id: str
    slice_start: datetime
    slice_end: datetime
    state: str
    reason: str | None
    rows: int
    distinct_keys: int
    inserted: int
    updated: int
    unchanged: int
    retired: int
    rejected: int

    @classmethod
    def total(cls, certificates: Sequence[Certificate]) -> Certificate:
        """Return the sum of a joined reading's certificates (of a reading of one slice: its own)."""
        first = certificates[0]
        if len(certificates) == 1:
            return first
        sums = {
            name: sum(getattr(certificate, name) for certificate in certificates)
            for name in ("rows", "distinct_keys", "inserted", "updated", "unchanged", "retired", "rejected")
        }
        worst = next((c for c in certificates if c.state != "certified"), first)
        return replace(first, slice_end=certificates[-1].slice_end, state=worst.state, reason=worst.reason, **sums)

    def figures(self) -> dict[str, str | int]:
        """Return the slice and what the load did to its rows, as JSON takes it."""
        counts = {name: getattr(self, name) for name in ("rows", "inserted", "updated", "retired", "rejected")}
        return {"from": self.slice_start.isoformat(), "to": self.slice_end.isoformat(), "state": self.state, **counts}

    def write(self, connection: psycopg.Connection, *, kind: str) -> None:
        """Write the certificate; what several loads of one reading wrote adds up. Once certified, it stays as it is.

        A reading that was suspect and is certified when it is loaded again takes the *kind* of that load.
        """
        connection.execute(
            """UPDATE ops.readings SET state = %(state)s, reason = %(reason)s,
                   kind = CASE WHEN loaded_at IS NULL THEN kind ELSE %(kind)s END, rows = %(rows)s,
                   distinct_keys = %(distinct_keys)s,
                   inserted = coalesce(inserted, 0) + %(inserted)s, updated = coalesce(updated, 0) + %(updated)s,
                   unchanged = %(unchanged)s, retired = coalesce(retired, 0) + %(retired)s,
                   rejected = %(rejected)s, loaded_at = clock_timestamp()
               WHERE reading_id = %(reading_id)s AND slice_start = %(slice_start)s AND state <> 'certified'""",
            {**self.__dict__, "kind": kind},
        )


def record_landed(connection: psycopg.Connection, manifest: Manifest, landing_uri: str) -> None:
    """Write the reading as landed, a row for each of its slices; what the ledger knows already is left as it is."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state,
                   pages, rows, reported_total_first, reported_total_last, landing_uri, sha256, g_types, pulled_at,
                   finished_at, reason)
               VALUES (%s, %s, %s, %s, %s, %s, %s, 'landed', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (reading_id, slice_start) DO NOTHING""",
            [
                (
                    manifest.reading_id,
                    manifest.provider,
                    manifest.feed,
                    manifest.agent,
                    slice_.start,
                    slice_.end,
                    manifest.kind,
                    sum(len(manifest.windows[number].pages) for number in manifest.windows_meeting(slice_)),
                    manifest.rows_meeting(slice_),
                    manifest.reported("total_first", slice_),
                    manifest.reported("total_last", slice_),
                    landing_uri,
                    manifest.sha256,
                    list(manifest.options.get("g_types") or ()),
                    manifest.pulled_at,
                    manifest.finished_at,
                    manifest.problem,
                )
                for slice_ in manifest.certified_slices
            ],
        )


@dataclass(frozen=True, kw_only=True)
class LoadedReading:
    """A reading that was loaded, certified in all its slices or not, and where it lies."""

    reading_id: str
    landing_uri: str
    certified: bool


def later_readings(connection: psycopg.Connection, manifest: Manifest) -> list[LoadedReading]:
    """Return the loaded readings that meet a reading's slices and ended after it began, oldest first."""
    with connection.cursor(row_factory=class_row(LoadedReading)) as cursor:
        return cursor.execute(
            """SELECT r.reading_id, min(r.landing_uri) AS landing_uri, bool_and(r.state = 'certified') AS certified
               FROM ops.readings AS r
               WHERE r.provider = %(provider)s AND r.feed = %(feed)s AND r.agent = %(agent)s
                 AND r.reading_id <> %(reading_id)s AND r.loaded_at IS NOT NULL
                 AND r.finished_at > %(pulled_at)s
                 AND r.slice_start < %(slice_end)s AND r.slice_end > %(slice_start)s
               GROUP BY r.reading_id ORDER BY r.reading_id""",
            {
                "provider": manifest.provider,
                "feed": manifest.feed,
                "agent": manifest.agent,
                "reading_id": manifest.reading_id,
                "pulled_at": manifest.pulled_at,
                "slice_start": manifest.slice_start,
                "slice_end": manifest.slice_end,
            },
        ).fetchall()


@dataclass(frozen=True, kw_only=True)
class DeclaredFeed:
    """A row of ops.agents: the slices expected of one feed of one agent."""

    provider: str
    agent: str
    feed: str
    currency: str | None
    g_types: list[str] = field(default_factory=list)
    start_at: datetime
    stop_at: datetime | None
    slice_width: timedelta
    slice_anchor: timedelta
    lag: timedelta
    reach: timedelta | None


def declare(
    connection: psycopg.Connection, feeds: Iterable[DeclaredFeed], reconciliation: dict[tuple[str, str], Any]
) -> None:
    """Write the declared feeds and reconciliation settings; rows that say the same already are not touched."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO ops.agents AS a (provider, agent, feed, currency, g_types, start_at, stop_at, slice_width,
                   slice_anchor, lag, reach)
               VALUES (%(provider)s, %(agent)s, %(feed)s, %(currency)s, %(g_types)s, %(start_at)s, %(stop_at)s,
                   %(slice_width)s, %(slice_anchor)s, %(lag)s, %(reach)s)
               ON CONFLICT (provider, agent, feed) DO UPDATE SET
                   currency = excluded.currency, g_types = excluded.g_types, start_at = excluded.start_at,
                   stop_at = excluded.stop_at, slice_width = excluded.slice_width,
                   slice_anchor = excluded.slice_anchor, lag = excluded.lag,
                   reach = excluded.reach, declared_at = now()
               WHERE (a.currency, a.g_types, a.start_at, a.stop_at, a.slice_width, a.slice_anchor, a.lag, a.reach)
                   IS DISTINCT FROM (excluded.currency, excluded.g_types, excluded.start_at, excluded.stop_at,
                                     excluded.slice_width, excluded.slice_anchor, excluded.lag, excluded.reach)""",
            [feed.__dict__ for feed in feeds],
        )
        cursor.executemany(
            """INSERT INTO ops.config AS c (provider, agent, reconciliation) VALUES (%s, %s, %s)
               ON CONFLICT (provider, agent) DO UPDATE SET reconciliation = excluded.reconciliation
               WHERE c.reconciliation IS DISTINCT FROM excluded.reconciliation""",
            [(*key, json.dumps(settings)) for key, settings in reconciliation.items()],
        )


def is_declared(connection: psycopg.Connection, *, provider: str, agent: str, feeds: Sequence[str]) -> bool:
    """Return whether the ledger knows all of *feeds*; of a feed it does not know, no slice seems to be missing."""
    row = connection.execute(
        "SELECT count(*) FROM ops.agents WHERE provider = %s AND agent = %s AND feed = ANY(%s)",
        (provider, agent, list(feeds)),
    ).fetchone()
    return row is not None and row[0] == len(set(feeds))


@dataclass(frozen=True, kw_only=True)
class OpenSlice:
    """A slice that is not settled yet: neither certified nor suspect nor lost."""

    feed: str
    slice_start: datetime
    slice_end: datetime
    status: str


def unsettled_slices(
    connection: psycopg.Connection, *, provider: str, agent: str, needs: Sequence[tuple[str, Slice]]
) -> list[OpenSlice]:
    """Return the expected slices meeting any of *needs* (feed, range) whose status is landed, missing or due."""
    found: list[OpenSlice] = []
    with connection.cursor(row_factory=class_row(OpenSlice)) as cursor:
        for feed, needed in needs:
            cursor.execute(
                """SELECT feed, slice_start, slice_end, status FROM ops.slice_status
                   WHERE provider = %s AND agent = %s AND feed = %s AND slice_start < %s AND slice_end > %s
                     AND status NOT IN ('certified', 'suspect', 'lost')
                   ORDER BY slice_start""",
                (provider, agent, feed, needed.end, needed.start),
            )
            found.extend(cursor.fetchall())
    return found
