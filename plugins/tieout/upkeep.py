"""Upkeep of what was read: revisits, repairs and replays, each over many slices in one task.

Every function goes on after a slice that fails and raises in the end, naming what is left. All of them look at the
ledger when they start, so that a retry does only what is still to be done.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tieout.core import coverage
from tieout.core.batch import Round
from tieout.core.errors import FatalError, IdentityChanged, SuspectReading
from tieout.core.feed import FeedSpec
from tieout.core.landing import LandedReading, landed_readings
from tieout.core.ledger import Certificate
from tieout.core.replay import begun_in, uncertified
from tieout.core.slices import Slice
from tieout.core.warehouse import connect
from tieout.ingest import Ingest

if TYPE_CHECKING:
    from tieout.feeds import AgentFeed

log = logging.getLogger(__name__)

#: What one run of revisits may take, so that it ends well before the next hour and leaves pull slots to live slices.
REVISIT_BUDGET = timedelta(minutes=20)

_UNCHANGED = {"inserted": 0, "updated": 0, "retired": 0}
_AGAIN = "What is left stays due: the next run takes it up, a suspect slice after a growing pause. See ops.readings."


def revisit(ingest: Ingest, declared: AgentFeed, *, budget: timedelta = REVISIT_BUDGET) -> dict[str, int]:
    """Read again what is due of one feed, adjoining slices together, the oldest first, for at most *budget*.

    Returns counts of ranges and slices read, rows inserted, updated and retired, and ranges left for the next run.
    Raises FatalError or RetryLater in the end, naming the ranges that failed.
    """
    where = coverage.where(declared)
    with connect(ingest.url) as connection:
        due = coverage.due_revisits(connection, declared)
        each = coverage.call_spacing(connection, declared) * coverage.expected_calls(connection, declared)
    groups = coverage.join_slices(due, declared.spec.joined_width)
    counts = {"due": len(due), "ranges": 0, "slices": 0, **_UNCHANGED, "left": 0}
    work, started = Round(place=f"revisits of {where}", advice=_AGAIN), ingest.clock.monotonic()
    for number, group in enumerate(groups):
        # A joined range takes fewer calls than its slices; then the run merely ends sooner.
        ends = ingest.clock.monotonic() - started + (each * len(group)).total_seconds()
        if number and ends > budget.total_seconds():
            counts["left"] = len(groups) - number
            log.warning("%s: %d range(s) are left for the next run, this one has used its time", where, counts["left"])
            break
        hull = Slice(group[0].start, group[-1].end)
        with work.piece(str(hull)):
            landed = ingest.pull(declared, hull, kind="revisit", slices=group if len(group) > 1 else ())
            certificate = ingest.load(declared.spec, landed)
            _count(counts, certificate)
            counts["ranges"] += 1
            counts["slices"] += len(group)
            _tell(f"{where} {hull}", certificate)
    log.info("%s: %s", where, counts)
    work.end()
    return counts


def repair(
    ingest: Ingest, declared: AgentFeed, range_: Slice, *, everything: bool = False, settle: timedelta = coverage.SETTLE
) -> dict[str, int]:
    """Mend what wants mending of one feed within *range_*, the nearest deadline first, one batch's slices at most.

    Landed readings are loaded; other slices are pulled, each by itself, unless they have been certified meanwhile or
    someone else is reading them. Returns counts. Raises FatalError or RetryLater in the end, naming what is left.
    """
    where = coverage.where(declared)
    with connect(ingest.url) as connection:
        wanted = coverage.repairs(
            connection, declared, since=range_.start, until=range_.end, everything=everything, settle=settle
        )[: coverage.BATCH_SLICES]
    counts = {"wanted": len(wanted), "slices": 0, "loaded": 0, "skipped": 0, **_UNCHANGED}
    work = Round(place=f"repairs of {where}", advice=_AGAIN)
    for item in wanted:
        with work.piece(f"{item.slice} ({item.why})"), ingest.claim(declared, item.slice) as free:
            with connect(ingest.url) as connection:
                still_open = coverage.is_open(connection, declared, item.slice)
            if not free or not still_open:
                log.info(
                    "%s: %s is %s", where, item.slice, "certified by now" if free else "being read by another task"
                )
                counts["skipped"] += 1
                continue
            log.info("%s: %s", where, item)
            _count(counts, _mend(ingest, declared, item, counts))
            counts["slices"] += 1
    log.info("%s: %s", where, counts)
    work.end()
    return counts


def replay(
    ingest: Ingest, spec: FeedSpec, agent: str, piece: Slice, *, first: datetime, only_uncertified: bool = False
) -> dict[str, int]:
    """Load every reading of landing that begins in *piece* of a range begun at *first*, the oldest first; no calls.

    Returns counts of readings and rows. Raises FatalError in the end, naming the readings that failed.
    """
    where = f"{spec.provider} {spec.name} agent={agent}"
    readings = landed_in(ingest, spec, agent, piece, first=first, only_uncertified=only_uncertified)
    counts = {"readings": len(readings), "certified": 0, "suspect": 0, "rows": 0, **_UNCHANGED}
    work = Round(
        place=f"replays of {where}",
        advice="Restore damaged files of landing and replay again; a suspect reading stays what it is.",
    )
    for reading in readings:
        with work.piece(f"{reading.range} reading {reading.reading_id}"):
            try:
                certificate = ingest.load(spec, reading.manifest, kind="replay")
            except SuspectReading as error:
                # It was suspect when it was read; only another reading of the slice could change that.
                log.warning("%s: %s", where, error)
                counts["suspect"] += 1
                continue
            counts["certified"] += 1
            counts["rows"] += certificate.rows
            _count(counts, certificate)
    log.info("%s %s: %s", where, piece, counts)
    work.end()
    return counts


def landed_in(
    ingest: Ingest, spec: FeedSpec, agent: str, piece: Slice, *, first: datetime, only_uncertified: bool = False
) -> list[LandedReading]:
    """Return the readings in landing that ``replay`` loads."""
    name = {"provider": spec.provider, "feed": spec.name, "agent": agent}
    readings = begun_in(landed_readings(ingest.landing, **name, range_=piece), piece, first=first)
    if not only_uncertified:
        return readings
    with connect(ingest.url) as connection:
        return uncertified(connection, readings, **name)


def _mend(ingest: Ingest, declared: AgentFeed, item: coverage.Repair, counts: dict[str, int]) -> Certificate:
    if item.manifests:
        try:
            certificate = ingest.load(declared.spec, list(item.manifests))
        except (SuspectReading, IdentityChanged):
            raise
        except FatalError as error:
            log.warning("%s cannot be loaded from landing, reading it again: %s", item.slice, error)
        else:
            counts["loaded"] += 1
            return certificate
    return ingest.load(declared.spec, ingest.pull(declared, item.slice, kind="repair"))


def _count(counts: dict[str, int], certificate: Certificate) -> None:
    for name in _UNCHANGED:
        counts[name] += getattr(certificate, name)


def _tell(what: str, certificate: Certificate) -> None:
    if certificate.inserted or certificate.updated or certificate.retired:
        log.info(
            "%s was restated: %d new rows, %d changed, %d gone",
            what, certificate.inserted, certificate.updated, certificate.retired,
        )  # fmt: skip
