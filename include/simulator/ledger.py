"""What was called, and the rules that need memory: quota and single use.

Quota is one call per interval for each (provider, endpoint, agent), judged when a call arrives and only
against the last call that was let through; a refused call costs nothing. `allowance_ms` (default 0) is how
much too early a call may come and still count as punctual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str, str]


@dataclass(kw_only=True)
class Tally:
    """Counts of one (provider, endpoint, agent); instants are wall-clock Unix ms.

    `calls` = `accepted` + `throttled` + `rejected`; rejected are those refused before the quota (signature,
    age, …), by right or by a fault. `violations` are calls that came sooner than the interval after the last
    accepted one; `throttled` adds to these the calls a fault answered as throttled.
    """

    calls: int = 0
    accepted: int = 0
    throttled: int = 0
    rejected: int = 0
    violations: int = 0
    first_at: int = 0
    last_at: int = 0
    first_accepted_at: int | None = None
    last_accepted_at: int | None = None


class CallLedger:
    """Counts calls and judges quota."""

    def __init__(self, *, interval_ms: Callable[[str, str], float], allowance_ms: int = 0) -> None:
        self._interval_ms = interval_ms
        self._allowance = allowance_ms
        self._tallies: dict[Key, Tally] = {}
        self._last: dict[Key, tuple[float, int] | None] = {}
        self._before: dict[Key, tuple[float, int] | None] = {}

    def _arrived(self, key: Key, wall: int) -> Tally:
        tally = self._tallies.setdefault(key, Tally(first_at=wall))
        tally.calls += 1
        tally.last_at = wall
        return tally

    def rejected(self, key: Key, *, wall: int) -> None:
        """Count a call refused before its quota was looked at."""
        self._arrived(key, wall).rejected += 1

    def arrive(self, key: Key, *, at_ms: float, wall: int) -> bool:
        """Count a call that arrived at `at_ms` (monotonic) and say whether the quota lets it through."""
        tally = self._arrived(key, wall)
        last = self._last.get(key)
        interval = self._interval_ms(key[0], key[1])
        # Calls may be judged in another order than they arrived in; without an interval none is too soon.
        if last is not None and interval and at_ms - last[0] + self._allowance < interval:
            tally.throttled += 1
            tally.violations += 1
            return False
        self._before[key], self._last[key] = last, (at_ms, wall)
        tally.accepted += 1
        tally.last_accepted_at = wall
        if tally.first_accepted_at is None:
            tally.first_accepted_at = wall
        return True

    def withdraw(self, key: Key, *, at_ms: float, rejected: bool = False) -> None:
        """Turn the call accepted at `at_ms` into a throttled or rejected one (a fault said so): it costs no quota."""
        tally = self._tallies[key]
        tally.accepted -= 1
        tally.rejected += rejected
        tally.throttled += not rejected
        last, before = self._last.get(key), self._before.get(key)
        if last is not None and last[0] == at_ms:
            self._last[key] = before
            tally.last_accepted_at = before[1] if before else None
        if not tally.accepted:
            tally.first_accepted_at = None

    def report(self) -> list[dict[str, Any]]:
        """One row per (provider, endpoint, agent), sorted, with the interval enforced (`interval_ms`).

        How much of the quota was used: accepted x interval_ms / (last_accepted_at - first_accepted_at).
        """
        return [
            {
                "provider": key[0],
                "endpoint": key[1],
                "agent": key[2],
                "interval_ms": self._interval_ms(key[0], key[1]),
                **vars(tally),
            }
            for key, tally in sorted(self._tallies.items())
        ]


class OnceOnly:
    """Values that may be used once within `keep_ms` (None: once for ever), apart for each agent."""

    def __init__(self, *, keep_ms: int | None = None) -> None:
        self._keep = keep_ms
        self._seen: dict[tuple[str, bytes], int] = {}

    def first_use(self, agent: str, value: bytes, *, at_ms: int) -> bool:
        """True when `value` is new for `agent`; it is remembered either way."""
        if self._keep is not None and len(self._seen) > 10_000:
            self._seen = {key: at for key, at in self._seen.items() if at_ms - at <= self._keep}
        key = (agent, value)
        seen = self._seen.get(key)
        if seen is not None and (self._keep is None or at_ms - seen <= self._keep):
            return False
        self._seen[key] = at_ms
        return True
