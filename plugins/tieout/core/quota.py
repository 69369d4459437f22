"""Quota: one row per (provider, endpoint, merchant) in PostgreSQL decides when the next call may be made.

Callers queue in the row, by class and then by arrival. Who is first takes the next slot shortly before it begins
(generic cell rate algorithm on the database's clock, spacing = interval x 1.02) and sleeps outside any lock until it
does. Taken so late, a slot is never kept by a caller that died, and a throttle answer that pushes the row forward holds
for everyone who waits, on every machine. A caller that wakes too late gives its slot back and takes another; one whose
call leaves too late all the same puts the next slot off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from sqlalchemy import URL

from tieout.core.clock import Clock
from tieout.core.errors import QuotaBusy, SlotMissed, Unreachable
from tieout.core.quota_row import LONGEST_NAP, SPACING, WIDENED_FOR, Priority, QuotaKey, QuotaRows, Step, Ticket
from tieout.core.steady import SteadyConnection, first_line

__all__ = ["SPACING", "WIDENED_FOR", "PostgresQuota", "Priority", "QuotaKey"]

log = logging.getLogger(__name__)

#: Seconds a caller waits for its turn at most, all naps together; beyond, its task is retried later. A provider that
#: asks everyone to stay away for longer must not hold workers and pull slots.
LONGEST_WAIT = 600.0
#: Slots one caller may be too late for before it says that the machine is overloaded.
MAX_SLOTS_GIVEN_UP = 100
#: A caller may wake this much of the spare spacing after its slot and still use it: what is left is for the ways of two
#: calls to differ in. Giving the slot back costs a few milliseconds only …
LATE_SHARE = 0.25
#: … and a sleeping process may oversleep this many seconds on an ordinary kernel without being counted as late.
TIMER_GRANULARITY = 0.005
#: How much later than it may wake a call may be sent: signing it takes a millisecond or two.
SIGNING_FACTOR = 2
#: Seconds before its slot a caller takes it, and seconds from now a slot begins at the earliest. Both grow by twice
#: what the database took to answer last.
LEAD = 0.05
MARGIN = 0.005
#: What it is taken to need before it was asked.
FIRST_LATENCY = 0.01
#: Seconds before taking its slot a caller looks after its connection: opening one may take some round trips.
WARM_UP = 1.0
#: Seconds between two looks at a row whose slots follow each other faster than anybody can sleep.
SHORTEST_NAP = 0.005
#: The clocks are compared again when the answer took longer than this many seconds, up to so many times.
QUICK_ANSWER = 0.005
COMPARISONS = 3
#: Seconds a lost database is waited for while the answer of a call is on its way and nobody reads it.
SHORT_PATIENCE = 1.0


@dataclass(frozen=True, kw_only=True)
class _Grant:
    """A slot in hand. ``begins``: on the monotonic clock; a call may be sent ``allowed`` seconds later at most."""

    ticket: Ticket
    step: Step
    begins: float
    allowed: float


class PostgresQuota:
    """Grants call instants from ``ops.quota``; safe for any number of processes on any number of machines.

    Holds one autocommit connection, opened on entering and again when it is lost. Raises Unreachable when the
    database is not there on entering, or does not come back. ``database_clock``: replaces the database's clock in tests
    whose sleeps take no time.
    """

    def __init__(
        self, url: str | URL, clock: Clock, *, database_clock: Callable[[], datetime | None] = lambda: None
    ) -> None:
        self._clock = clock
        self._connection = SteadyConnection(url, clock)
        self._rows = QuotaRows(self._connection, database_clock)
        self._latency = FIRST_LATENCY
        self._granted: _Grant | None = None
        self._confirmed: _Grant | None = None
        self._missed: dict[QuotaKey, Ticket] = {}

    def __enter__(self) -> PostgresQuota:
        self._connection.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.__exit__(*error)

    def acquire(
        self,
        key: QuotaKey,
        interval: timedelta,
        *,
        priority: Priority = Priority.LIVE,
        keep_warm: Callable[[], object] | None = None,
    ) -> datetime:
        """Wait for this caller's turn and return it (database clock): the instant of the call to be made now.

        *keep_warm* is called shortly before the turn comes, when there was something to wait for. Raises QuotaBusy
        when the turn is more than LONGEST_WAIT away, Unreachable when the database does not come back or the machine
        is so slow that slot after slot passes before it wakes.
        """
        ticket = self._missed.pop(key, None) or Ticket.of(key, interval, priority)
        allowed = max(interval.total_seconds() * (SPACING - 1) * LATE_SHARE, TIMER_GRANULARITY)
        began = self._clock.monotonic()
        while True:
            step = self._queue(ticket, began, keep_warm)
            begins = self._begins(step.slot)
            self._sleep(begins - self._clock.monotonic())
            late = self._clock.monotonic() - begins
            if late <= allowed:
                break
            ticket = self._give_back(ticket, step, late)
        self._granted = _Grant(ticket=ticket, step=step, begins=begins, allowed=allowed * SIGNING_FACTOR)
        return step.slot + timedelta(seconds=max(late, 0.0))

    def confirm(self) -> None:
        """Raise SlotMissed when it has become too late to send the call that was granted last; asked again, do nothing.

        Its slot goes back with the next ``acquire`` for the same key, which keeps its place in the queue.
        """
        granted, self._granted, self._confirmed = self._granted, None, None
        if granted is None:
            return
        late = self._clock.monotonic() - granted.begins
        if late > granted.allowed:
            self._missed[granted.ticket.key] = self._give_back(granted.ticket, granted.step, late)
            raise SlotMissed(f"{granted.ticket.key}: {late:.3f} s too late for its slot.")
        self._confirmed = granted

    def sent(self) -> None:
        """Put the row's next slot off when the call that was confirmed last has left too late; asked again, do nothing.

        The machine may put a process aside after its last look. Never raises for the database: the call was made.
        """
        granted, self._confirmed = self._confirmed, None
        if granted is None:
            return
        late = self._clock.monotonic() - granted.begins
        if late > granted.allowed:
            self._put_off(granted.ticket.key, granted.step.free_from, late)

    def now(self) -> datetime:
        """Return the database's clock."""
        return self._rows.now()

    def push_back(self, key: QuotaKey, delay: timedelta, *, widen_to: timedelta | None = None) -> timedelta | None:
        """Keep everyone from calling for *delay*; with *widen_to*, space all later calls at least that far.

        Return the new spacing when this widened it, else None. It ends by itself WIDENED_FOR after the last throttle
        answer.
        """
        row = self._rows.push_back(key, delay, widen_to)
        log.warning(
            "quota: %s was throttled; next call in %.1f s, calls %s",
            key,
            delay.total_seconds(),
            f"at least {row.min_interval.total_seconds():g} s apart"
            if row.min_interval
            else "as far apart as declared",
        )
        return row.min_interval if row.widened else None

    def _give_back(self, ticket: Ticket, step: Step, late: float) -> Ticket:
        """Return the ticket that gives a slot back."""
        if ticket.missed >= MAX_SLOTS_GIVEN_UP:
            raise Unreachable(
                f"no slot of {ticket.key} could be met: {ticket.missed + 1} times this process was too late.",
                advice="The machine is overloaded; run fewer tasks at a time on it.",
            )
        log.info("quota: %s is %.3f s late for its slot and gives it back", ticket.key, late)
        return ticket.after(step, missed=True)

    def _put_off(self, key: QuotaKey, free_from: datetime, late: float) -> None:
        """Keep the next slot a spacing away from a call that left *late* seconds behind its own."""
        try:
            in_time = self._rows.put_off(key, free_from, timedelta(seconds=late), patience=SHORT_PATIENCE)
        except (Unreachable, psycopg.Error) as error:
            log.warning(
                "quota: a call of %s left %.3f s late for its slot and the next one may come too early: %s",
                key,
                late,
                first_line(error),
            )
            return
        then = "begins as much later" if in_time else "was no longer free, and its call may come too early"
        log.info("quota: a call of %s left %.3f s late for its slot; the next slot %s", key, late, then)

    def _queue(self, ticket: Ticket, began: float, keep_warm: Callable[[], object] | None) -> Step:
        """Wait until the next slot is this caller's."""
        waits = False
        while True:
            step = self._take_turn(ticket)
            if step.granted:
                return step
            ticket = ticket.after(step)
            now = self._clock.monotonic()
            wait = (step.slot - step.now).total_seconds()
            if now - began + wait > LONGEST_WAIT:
                raise QuotaBusy(
                    f"the next free call of {ticket.key} is {wait:.0f} s away ({step.ahead} callers go before).",
                    advice="Nothing is wrong, unless the provider throttles: see ops.quota.",
                    delay=timedelta(seconds=wait),
                )
            if not waits:
                log.info("quota: %s waits about %.2f s for its turn, %d before it", ticket.key, wait, step.ahead)
                waits = True
            self._nap(now + wait - self._lead, keep_warm)

    def _take_turn(self, ticket: Ticket) -> Step:
        asked = self._clock.monotonic()
        step = self._rows.take_turn(
            ticket,
            lead=timedelta(seconds=self._lead),
            margin=timedelta(seconds=MARGIN + 2 * self._latency),
        )
        # Beyond a second the server was away, which says nothing about its next answer.
        self._latency = min(self._clock.monotonic() - asked, 1.0)
        if step.narrowed:
            log.info(
                "quota: calls of %s are as far apart as declared again: no throttle answer for %s",
                ticket.key,
                WIDENED_FOR,
            )
        return step

    @property
    def _lead(self) -> float:
        return LEAD + 2 * self._latency

    def _nap(self, until: float, keep_warm: Callable[[], object] | None) -> None:
        """Sleep until a monotonic instant, but not so long that the others take this caller for dead."""
        now = self._clock.monotonic()
        longest = now + LONGEST_NAP.total_seconds()
        end = min(max(until, now + SHORTEST_NAP), longest)
        if keep_warm is not None and end < longest:
            self._sleep(end - WARM_UP - now)
            keep_warm()
        self._sleep(end - self._clock.monotonic())

    def _begins(self, slot: datetime) -> float:
        """Return the monotonic instant at which *slot* begins, by the quickest of a few comparisons of the clocks.

        Taking the slot does not tell: its answer waited for the disk.
        """
        quickest, begins = float("inf"), 0.0
        for _ in range(COMPARISONS):
            asked = self._clock.monotonic()
            now = self._rows.now()
            took = self._clock.monotonic() - asked
            if took < quickest:
                quickest, begins = took, asked + took / 2 + (slot - now).total_seconds()
            if quickest <= QUICK_ANSWER:
                break
        return begins

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._clock.sleep(seconds)
