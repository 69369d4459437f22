"""Time as an argument: code that needs it is handed a clock, so that tests can hold it still."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Wall-clock instants for signatures, a monotonic counter for durations, and a way to wait."""

    def now(self) -> datetime:
        """Return the current instant, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def epoch_ms(instant: datetime) -> int:
    """Return milliseconds since the Unix epoch, exactly (integer arithmetic, never through a float)."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def from_epoch_ms(milliseconds: int) -> datetime:
    """Return the aware UTC instant of *milliseconds* since the Unix epoch."""
    return EPOCH + timedelta(milliseconds=milliseconds)
