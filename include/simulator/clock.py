"""The world clock: what the simulated providers take for "now".

It may lag, lead, stand or be moved. Ages of signatures, tokens and quotas are always judged on the wall
clock, so a frozen world can still be queried with honest timestamps.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def wall_ms() -> int:
    """Unix milliseconds of the machine."""
    return time.time_ns() // 1_000_000


class WorldClock:
    """World time in Unix ms: the wall clock plus an offset, or frozen at one instant."""

    def __init__(self, *, offset_ms: int = 0, frozen_at: int | None = None, wall: Callable[[], int] = wall_ms) -> None:
        self.wall = wall
        self._offset = offset_ms
        self._frozen = frozen_at

    @property
    def frozen(self) -> bool:
        """True while world time stands."""
        return self._frozen is not None

    def now(self) -> int:
        """World time, ms."""
        return self.wall() + self._offset if self._frozen is None else self._frozen

    def freeze(self, *, at: int | None = None) -> None:
        """Stand still at `at` (ms), by default where it is."""
        self._frozen = self.now() if at is None else at

    def advance(self, *, by_ms: int) -> None:
        """Jump by `by_ms`, frozen or running."""
        if self._frozen is None:
            self._offset += by_ms
        else:
            self._frozen += by_ms

    def run(self) -> None:
        """Go on at wall speed from the present world time."""
        if self._frozen is not None:
            self._offset, self._frozen = self._frozen - self.wall(), None
