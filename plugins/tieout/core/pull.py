"""Pull one slice: windows and pages under quota, raw answers to landing, the manifest last."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import tieout
from tieout.core.clock import Clock
from tieout.core.egress import Sending
from tieout.core.errors import ContractBroken, NotReady, PastReach, RetryLater, SlotMissed, Throttled, Unreachable
from tieout.core.feed import FeedOptions, FeedSpec, Page
from tieout.core.landing import (
    Manifest,
    PageEntry,
    ReadingWriter,
    SliceEntry,
    WindowEntry,
    new_reading_id,
    slice_folder,
)
from tieout.core.quota import WIDENED_FOR, Priority, QuotaKey
from tieout.core.replay import readings_covering
from tieout.core.slices import Slice, Window, stamp
from tieout.core.storage import PathLike

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
MAX_CALL_TRIES = 4
MAX_PAGES = 20_000
MAX_WINDOWS = 5_000
BACKOFF = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
#: A provider that asks for more patience than this gets its task back later instead of a sleeping worker.
MAX_PATIENCE = timedelta(minutes=2)
_WIDENED = (
    "%s: %s The calls of %s now keep %g s between them, until no throttle answer has come for %s. Find out who else "
    "calls with this merchant's credentials. To narrow it at once, set min_interval and widened_at of its row in "
    "ops.quota to null; to keep it for good, widened_at only."
)


class Quota(Protocol):
    """What pull needs of the quota."""

    def acquire(
        self,
        key: QuotaKey,
        interval: timedelta,
        *,
        priority: Priority = Priority.LIVE,
        keep_warm: Callable[[], object] | None = None,
    ) -> datetime: ...
    def confirm(self) -> object: ...
    def sent(self) -> object: ...
    def push_back(self, key: QuotaKey, delay: timedelta, *, widen_to: timedelta | None = None) -> timedelta | None: ...
    def now(self) -> datetime: ...


class Caller(Protocol):
    """What pull needs of a provider: one signed call. ``merchant_id`` is the provider's id of the agent.

    ``sending`` is to be called around the sending of each call, behind its signature.
    """

    sending: Sending

    @property
    def merchant_id(self) -> str: ...

    def prepare(self, feed: FeedSpec, window: Window, offset: int) -> None:
        """Do beforehand what a call would have to wait for (a connection, a token); cheap when nothing is missing."""

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        """Sign now, call once, return the body. Raises the classed errors of tieout.core.errors."""


@dataclass(frozen=True, kw_only=True)
class PullPlan:
    """What to read: a slice of a feed of an agent. ``interval``, ``lag``: as declared for this agent.

    ``slices``: the pieces of ``slice``, when adjoining slices are read together and certified one by one.
    """

    feed: FeedSpec
    agent: str
    slice: Slice
    options: FeedOptions
    interval: timedelta
    lag: timedelta
    kind: str = "first"
    slices: tuple[Slice, ...] = ()

    @property
    def where(self) -> str:
        """The place errors name."""
        return f"{self.feed.provider} {self.feed.name} agent={self.agent} slice={self.slice}"


@dataclass(kw_only=True)
class SlicePuller:
    """Reads slices of one agent. Everything outside is handed in: the caller, quota, clock and landing base."""

    caller: Caller
    quota: Quota
    clock: Clock
    landing: PathLike
    jitter: Callable[[], float] = field(default=random.random)

    def pull(self, plan: PullPlan) -> tuple[str, Manifest] | str | list[str]:
        """Read the slice and return (manifest path, manifest).

        Beyond the provider's reach, return only the path of the newest reading landing holds, or a list of paths,
        oldest first, when it takes several to cover the slice. Raises NotReady before the slice is over, PastReach when
        it is gone, and the errors of the provider's calls.
        """
        now = self.quota.now()
        self._check_ready(plan, now)
        landed = self._beyond_reach(plan, now)
        if landed is not None:
            return landed
        writer = ReadingWriter(
            slice_folder(
                self.landing,
                provider=plan.feed.provider,
                feed=plan.feed.name,
                agent=plan.agent,
                slice_=plan.slice,
            ),
            new_reading_id(now),
        )
        windows = list(plan.feed.windows(plan.slice, plan.options))
        if not 0 < len(windows) <= MAX_WINDOWS:
            raise ValueError(f"{plan.where}: {len(windows)} windows, allowed are 1 to {MAX_WINDOWS}")
        entries: list[WindowEntry] = []
        for window in windows:
            self._read_whole(plan, window, writer, entries)
        manifest = self._manifest(plan, writer, entries, now)
        return writer.write_manifest(manifest), manifest

    def _check_ready(self, plan: PullPlan, now: datetime) -> None:
        ready_at = plan.slice.end + plan.lag
        if now < ready_at:
            raise NotReady(
                f"the slice is not ready before {stamp(ready_at)} (its end plus a lag of {plan.lag}).",
                advice="Nothing is wrong: the provider does not yet hold all of it.",
                ready_at=ready_at,
                delay=ready_at - now,
            )

    def _beyond_reach(self, plan: PullPlan, now: datetime) -> str | list[str] | None:
        reach = plan.feed.reach
        if reach is None or plan.slice.start >= now - reach:
            return None
        held = readings_covering(
            self.landing,
            provider=plan.feed.provider,
            feed=plan.feed.name,
            agent=plan.agent,
            slice_=plan.slice,
            options=plan.options,
        )
        if not held.readings:
            partly = held.missing != (plan.slice,)
            lacks = f"lacks {', '.join(map(str, held.missing))} of it" if partly else "holds no reading of this slice"
            raise PastReach(
                f"{plan.feed.title} can be asked back to {stamp(now - reach)} only ({reach.days} days), "
                f"and landing {lacks}.",
                advice=f"The oldest date to be had is {now - reach + timedelta(days=1):%Y-%m-%d}.",
            )
        paths = [str(reading.manifest) for reading in held.readings]
        log.warning("%s: beyond the provider's reach, taken from landing: %s", plan.where, ", ".join(paths))
        return paths[0] if len(paths) == 1 else paths

    def _read_whole(self, plan: PullPlan, window: Window, writer: ReadingWriter, entries: list[WindowEntry]) -> None:
        """Read one window, in halves when its answer is so long that the provider may have cut it off."""
        entry = self._read_window(plan, window, writer)
        rows = sum(page.rows for page in entry.pages)
        if plan.feed.row_cap is None or rows < plan.feed.row_cap or window.range.width <= MILLISECOND:
            entries.append(entry)
            return
        if writer.pages_written > MAX_WINDOWS:
            raise ContractBroken(
                f"answers stay at {rows} rows however small the window is, down to {window}.",
                advice="Ask the provider whether the endpoint still filters by time.",
            )
        log.warning("%s: window %s answered %d rows, perhaps cut off; reading its halves", plan.where, window, rows)
        middle = window.range.start + window.range.width // MILLISECOND // 2 * MILLISECOND
        for half in (Slice(window.range.start, middle), Slice(middle, window.range.end)):
            self._read_whole(plan, Window(half, window.params), writer, entries)

    def _read_window(self, plan: PullPlan, window: Window, writer: ReadingWriter) -> WindowEntry:
        """Page through one window; read it again when its control total moves, at most MAX_ATTEMPTS times."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            pages = self._read_pages(plan, window, writer)
            totals = {page.total for page in pages}
            settled = len(totals) == 1
            if settled or attempt == MAX_ATTEMPTS:
                break
            log.warning(
                "%s: control total of window %s moved while paging (%s); reading it again",
                plan.where,
                window,
                ", ".join(str(page.total) for page in pages),
            )
        return WindowEntry(
            start=window.range.start,
            end=window.range.end,
            params=dict(window.params),
            attempts=attempt,
            settled=settled,
            pages=pages,
        )

    def _read_pages(self, plan: PullPlan, window: Window, writer: ReadingWriter) -> list[PageEntry]:
        entries: list[PageEntry] = []
        received = 0
        while True:
            if len(entries) >= MAX_PAGES:
                raise Unreachable(f"window {window} did not end after {MAX_PAGES} pages.")
            requested_at, body, page = self._call(plan, window, received)
            entries.append(writer.write_page(body, rows=len(page.rows), total=page.total, requested_at=requested_at))
            received += len(page.rows)
            log.info(
                "%s: window %s page %d: %d rows, total %s", plan.where, window, len(entries), len(page.rows), page.total
            )
            if _is_last(plan.feed.page_size, page, received):
                return entries

    def _call(self, plan: PullPlan, window: Window, offset: int) -> tuple[datetime, bytes, Page]:
        """Wait for quota, sign and call; a throttled or lost call is repeated a few times in place."""
        self.caller.sending = Sending(last_look=self.quota.confirm, sent=self.quota.sent)
        attempt = 1
        while True:
            try:
                return self._call_once(plan, window, offset)
            except SlotMissed as error:
                # Nothing was sent. The quota bounds how often.
                log.info("%s: %s", plan.where, error.message)
            except (Throttled, Unreachable) as error:
                self._recover(plan, error, attempt)
                attempt += 1

    def _call_once(self, plan: PullPlan, window: Window, offset: int) -> tuple[datetime, bytes, Page]:
        self.caller.prepare(plan.feed, window, offset)
        requested_at = self.quota.acquire(
            self._key(plan, plan.feed.endpoint),
            plan.interval,
            priority=Priority.of_kind(plan.kind),
            keep_warm=partial(self._keep_warm, plan, window, offset),
        )
        body = self.caller.fetch(plan.feed, window, offset)
        return requested_at, body, plan.feed.read_page(body)

    def _keep_warm(self, plan: PullPlan, window: Window, offset: int) -> None:
        """Renew what was prepared before a long wait. What fails is left to the call, which is repeated in place."""
        try:
            self.caller.prepare(plan.feed, window, offset)
        except Throttled as error:
            self._push_back(plan, error)
        except RetryLater as error:
            log.info("%s: not ready for the call yet: %s", plan.where, error.message)

    def _recover(self, plan: PullPlan, error: Throttled | Unreachable, attempt: int) -> None:
        """Push the quota back or pause before the next attempt; raise *error* when there is to be none here."""
        if isinstance(error, Throttled):
            self._push_back(plan, error)
        if attempt == MAX_CALL_TRIES or (error.delay or BACKOFF) > MAX_PATIENCE:
            raise error
        log.warning("%s: attempt %d of %d: %s", plan.where, attempt, MAX_CALL_TRIES, error.message)
        if isinstance(error, Unreachable):
            self.clock.sleep(self._pause(error, attempt).total_seconds())

    def _push_back(self, plan: PullPlan, error: Throttled) -> None:
        """Tell all who share the quota. A feed's spacing widens, unless the answer itself says how long to wait."""
        endpoint = error.endpoint or plan.feed.endpoint
        widen = _widened(plan) if endpoint == plan.feed.endpoint and error.delay is None else None
        key = self._key(plan, endpoint)
        spacing = self.quota.push_back(key, error.delay or widen or plan.interval, widen_to=widen)
        if spacing is not None:
            log.warning(_WIDENED, plan.where, error.message, key, spacing.total_seconds(), WIDENED_FOR)

    def _key(self, plan: PullPlan, endpoint: str) -> QuotaKey:
        return QuotaKey(provider=plan.feed.provider, endpoint=endpoint, merchant_id=self.caller.merchant_id)

    def _pause(self, error: Unreachable, attempt: int) -> timedelta:
        if error.delay is not None:
            return error.delay * (1 + self.jitter() / 2)
        return BACKOFF * ((1 << (attempt - 1)) * (0.5 + self.jitter()))

    def _manifest(self, plan: PullPlan, writer: ReadingWriter, entries: list[WindowEntry], now: datetime) -> Manifest:
        moved = [entry for entry in entries if not entry.settled]
        cap = plan.feed.row_cap
        problem = None
        if cap is not None and any(page.rows >= cap for entry in entries for page in entry.pages):
            problem = f"an answer for a single millisecond holds {cap} rows or more and may be cut off"
        if moved:
            problem = f"the control total moved while paging in {len(moved)} window(s), {MAX_ATTEMPTS} readings each"
            log.warning("%s: %s; the reading will be suspect", plan.where, problem)
        instants = [page.requested_at for entry in entries for page in entry.pages]
        return Manifest(
            reading_id=writer.reading_id,
            provider=plan.feed.provider,
            feed=plan.feed.name,
            agent=plan.agent,
            merchant_id=self.caller.merchant_id,
            slice_start=plan.slice.start,
            slice_end=plan.slice.end,
            kind=plan.kind,
            options=plan.options.as_json(),
            windows=entries,
            pulled_at=min(instants, default=now),
            finished_at=self.quota.now(),
            problem=problem,
            tieout_version=tieout.__version__,
            slices=[SliceEntry(start=piece.start, end=piece.end) for piece in plan.slices],
        )


def _widened(plan: PullPlan) -> timedelta | None:
    """Return the spacing that holds after a throttle answer; an agent declared to be slower stays as it is."""
    if plan.feed.widen_factor == 1:
        return None
    return max(plan.interval, min(plan.interval, plan.feed.interval) * plan.feed.widen_factor)


def _is_last(page_size: int | None, page: Page, received: int) -> bool:
    if page_size is None or not page.rows:
        return True
    if page.total is not None:
        return received >= page.total
    return len(page.rows) < page_size
