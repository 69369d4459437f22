"""Pull and load a slice with what a worker has: the one place where provider, quota, landing and ledger meet.

Operators use it inside of Airflow; so may any worker that has a warehouse, a landing base and a way to call the
provider.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import URL

from tieout.core import ledger
from tieout.core.clock import Clock
from tieout.core.errors import SuspectReading, located
from tieout.core.feed import FeedSpec
from tieout.core.landing import below
from tieout.core.ledger import Certificate
from tieout.core.load import load_reading
from tieout.core.pull import Caller, PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota, QuotaKey
from tieout.core.slices import Slice
from tieout.core.storage import PathLike
from tieout.core.warehouse import connect

if TYPE_CHECKING:
    from tieout.feeds import AgentFeed

log = logging.getLogger(__name__)

#: A manifest's path; several, oldest first, when it took more than one reading of landing to cover a slice.
Landed = str | list[str]


class Hook(Caller, Protocol):
    """A provider's hook: signed calls, and a way to have the calls of its own wait for quota."""

    wait_for: Callable[[str], object]


def provider_hook(declared: AgentFeed, clock: Clock) -> Hook:
    """Return the hook of the feed's provider over the Airflow connection that the agent names."""
    # Imported here: a worker outside of Airflow brings hooks of its own.
    from tieout.providers import HOOKS

    return HOOKS[declared.spec.provider](declared.conn_id, clock=clock)


def plan_of(declared: AgentFeed, slice_: Slice, *, kind: str = "first", slices: Sequence[Slice] = ()) -> PullPlan:
    """Return the plan to pull *slice_* of a declared feed, joining *slices* when given."""
    return PullPlan(
        feed=declared.spec,
        agent=declared.agent,
        slice=slice_,
        options=declared.options,
        interval=declared.interval,
        lag=declared.lag,
        kind=kind,
        slices=tuple(slices),
    )


@dataclass(kw_only=True)
class Ingest:
    """Pulls and loads slices. ``hook_for`` is asked once for each agent, so that sessions and tokens last."""

    url: str | URL
    landing: PathLike
    clock: Clock
    hook_for: Callable[[AgentFeed, Clock], Hook] = provider_hook
    _hooks: dict[tuple[str, str], Hook] = field(default_factory=dict, init=False, repr=False)

    def pull(self, declared: AgentFeed, slice_: Slice, *, kind: str, slices: Sequence[Slice] = ()) -> Landed:
        """Land *slice_* (in one reading that joins *slices*, when given) and record it; return its manifest's path.

        Declares the feed in the ledger and waits for quota. Beyond the provider's reach, returns what landing holds
        instead. Raises the classed errors of ``tieout.core.errors``.
        """
        plan = plan_of(declared, slice_, kind=kind, slices=slices)
        with located(plan.where):
            with connect(self.url) as connection:
                ledger.declare(connection, [declared.declaration()], {})
            with self.claim(declared, slice_), self.puller(declared) as puller:
                result = puller.pull(plan)
            if not isinstance(result, tuple):
                return result
            path, manifest = result
            with connect(self.url) as connection:
                ledger.record_landed(connection, manifest, path)
        log.info("%s: landed %d rows on %d pages as %s", plan.where, manifest.rows, manifest.page_count, path)
        return path

    def load(
        self, spec: FeedSpec, landed: PathLike | str | Sequence[PathLike | str], *, kind: str | None = None
    ) -> Certificate:
        """Load what ``pull`` returned (manifests' paths) and return its certificate, the sum of several.

        *kind* replaces the readings' own in certificates written anew. Raises SuspectReading after all is loaded.
        """
        several = landed if isinstance(landed, Sequence) and not isinstance(landed, str) else [landed]
        certificates: list[Certificate] = []
        suspect: list[SuspectReading] = []
        for path in map(self.manifest, several):
            with located(f"{spec.provider} {spec.name} agent={_agent_of(path)} manifest={path}"):
                try:
                    certificates.append(load_reading(self.url, spec, path, path.parent, kind=kind))
                except SuspectReading as error:
                    suspect.append(error)
                    # The others may still certify their part.
                    log.warning("%s: %s", path, error)
        if suspect:
            raise suspect[0]
        return Certificate.total(certificates)

    def manifest(self, path: PathLike | str) -> PathLike:
        """Return a manifest's path below the landing base, also when it was written while the base lay elsewhere."""
        return below(self.landing, path) if isinstance(path, str) else path

    @contextmanager
    def claim(self, declared: AgentFeed, slice_: Slice) -> Iterator[bool]:
        """Say meanwhile that this slice is being read; yields False when someone else says so already.

        Two readings of one slice at once are safe, they only cost calls: so nobody waits for a claim.
        """
        name = f"tieout:pull:{declared.spec.id}:{declared.agent}:{slice_}"
        # The claim is the session's: it ends with the connection, also when its process is killed.
        with connect(self.url, autocommit=True) as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
            yield row is not None and bool(row[0])

    @contextmanager
    def puller(self, declared: AgentFeed) -> Iterator[SlicePuller]:
        """Yield what pulls slices of the feed: its provider's hook, whose calls all wait for the merchant's quota."""
        hook = self._hook(declared)
        with PostgresQuota(self.url, self.clock) as quota:
            # Calls the hook makes on its own (a token) are spaced like the feed's.
            hook.wait_for = lambda endpoint: quota.acquire(
                QuotaKey(provider=declared.spec.provider, endpoint=endpoint, merchant_id=hook.merchant_id),
                declared.interval,
            )
            yield SlicePuller(caller=hook, quota=quota, clock=self.clock, landing=self.landing)

    def _hook(self, declared: AgentFeed) -> Hook:
        name = (declared.spec.provider, declared.agent)
        if name not in self._hooks:
            self._hooks[name] = self.hook_for(declared, self.clock)
        return self._hooks[name]


def _agent_of(manifest: PathLike) -> str:
    """The agent's folder holds days, ranges, readings, and these their manifest."""
    return str(manifest.parent.parent.parent.parent.name)
