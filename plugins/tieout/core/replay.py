"""Replay: what landing still holds of a time, whatever the provider and the ledger have forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from tieout.core.errors import FatalError
from tieout.core.feed import FeedOptions
from tieout.core.landing import LandedReading, Manifest, landed_readings, read_manifest
from tieout.core.slices import Slice
from tieout.core.storage import PathLike

DAY = timedelta(days=1)


def uncovered(range_: Slice, covered: Iterable[Slice]) -> list[Slice]:
    """Return the pieces of *range_*, in order, that none of *covered* holds."""
    left, at = [], range_.start
    for piece in sorted(covered):
        if piece.start >= range_.end:
            break
        if piece.start > at:
            left.append(Slice(at, piece.start))
        at = max(at, piece.end)
    if at < range_.end:
        left.append(Slice(at, range_.end))
    return left


@dataclass(frozen=True, kw_only=True)
class Held:
    """What landing holds of a slice: the readings that together cover it (oldest first), or what is ``missing``."""

    readings: tuple[LandedReading, ...]
    missing: tuple[Slice, ...] = ()


def readings_covering(
    base: PathLike, *, provider: str, feed: str, agent: str, slice_: Slice, options: FeedOptions
) -> Held:
    """Return the newest reading in landing that covers a slice, or the newest ones that do so together.

    Readings whose totals held are preferred; others are taken when there is nothing better. A reading of fewer game
    types than *options* names does not count. Raises Unreachable when landing cannot be read.
    """
    found = [
        (reading, manifest)
        for reading in reversed(landed_readings(base, provider=provider, feed=feed, agent=agent, range_=slice_))
        if (manifest := _readable(reading)) is not None
        and set(options.g_types) <= set(FeedOptions.from_json(manifest.options).g_types)
    ]
    clean = [reading for reading, manifest in found if manifest.problem is None]
    for candidates in (clean, [reading for reading, _ in found]):
        whole = next((reading for reading in candidates if not uncovered(slice_, [reading.range])), None)
        if whole is not None:
            return Held(readings=(whole,))
        together = _together(slice_, candidates)
        if not uncovered(slice_, [reading.range for reading in together]):
            return Held(readings=tuple(reversed(together)))
    return Held(readings=(), missing=tuple(uncovered(slice_, [reading.range for reading, _ in found])))


def _together(slice_: Slice, candidates: Sequence[LandedReading]) -> list[LandedReading]:
    """Return the candidates, newest first, that add time to those before them."""
    taken: list[LandedReading] = []
    for reading in candidates:
        left = uncovered(slice_, [other.range for other in taken])
        if any(reading.range.start < piece.end and piece.start < reading.range.end for piece in left):
            taken.append(reading)
    return taken


def _readable(reading: LandedReading) -> Manifest | None:
    """A killed worker may leave a torn manifest: that is no reading."""
    try:
        return read_manifest(reading.manifest)
    except FatalError:
        return None


def uncertified(
    connection: psycopg.Connection, readings: Sequence[LandedReading], *, provider: str, feed: str, agent: str
) -> list[LandedReading]:
    """Return those of *readings* that hold time which the ledger does not know as certified."""
    certified = [
        Slice(start, end)
        for start, end in connection.execute(
            """SELECT lower(piece), upper(piece) FROM (
                   SELECT unnest(range_agg(tstzrange(r.slice_start, r.slice_end))) AS piece FROM ops.readings AS r
                   LEFT JOIN ops.agents AS a USING (provider, feed, agent)
                   WHERE r.provider = %s AND r.feed = %s AND r.agent = %s AND r.state = 'certified'
                     AND r.g_types @> coalesce(a.g_types, '{}')
               ) AS pieces""",
            (provider, feed, agent),
        ).fetchall()
    ]
    return [reading for reading in readings if uncovered(reading.range, certified)]


def whole_days(range_: Slice, *, at_most: int) -> list[Slice]:
    """Return *range_* in consecutive pieces of whole UTC days, as few days each as *at_most* pieces allow."""
    midnight = range_.start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = -((midnight - range_.end) // DAY)
    width = DAY * -(-days // at_most)
    pieces, start = [], range_.start
    end = midnight + width
    while start < range_.end:
        pieces.append(Slice(start, min(end, range_.end)))
        start, end = min(end, range_.end), end + width
    return pieces


def begun_in(readings: Iterable[LandedReading], piece: Slice, *, first: datetime) -> list[LandedReading]:
    """Return the readings that belong to *piece* of a range begun at *first*: each belongs to one piece only."""
    return [reading for reading in readings if piece.start <= max(reading.range.start, first) < piece.end]
