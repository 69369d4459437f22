"""Slices (what one task pulls) and windows (what one request may cover).

Both are half-open ``[start, end)`` in UTC. Providers want other bounds (inclusive ends, GMT+8 hours, Beijing
noon days); the conversion happens once, in the provider's module, at the moment the request is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType


@dataclass(frozen=True, order=True)
class Slice:
    """A half-open time range ``[start, end)`` of one feed of one agent.

    Raises ValueError unless both instants are aware, whole milliseconds, and start < end.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            instant = getattr(self, name)
            if instant.tzinfo is None:
                raise ValueError(f"slice {name} {instant} has no timezone")
            object.__setattr__(self, name, instant.astimezone(UTC))
            if instant.microsecond % 1000:
                raise ValueError(f"slice {name} {instant} is not a whole millisecond")
        if self.start >= self.end:
            raise ValueError(f"slice is empty or reversed: [{self.start}, {self.end})")

    def __str__(self) -> str:
        return f"[{stamp(self.start)}, {stamp(self.end)})"

    @property
    def width(self) -> timedelta:
        """The duration covered."""
        return self.end - self.start

    def split(self, width: timedelta) -> Iterator[Slice]:
        """Yield consecutive pieces of at most *width*: contiguous, nothing lost or doubled between them."""
        start = self.start
        while start < self.end:
            end = min(start + width, self.end)
            yield Slice(start, end)
            start = end


@dataclass(frozen=True)
class Window:
    """What one request (with its pages) covers: a time range plus fixed parameters such as JDB's ``gType``."""

    range: Slice
    params: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __str__(self) -> str:
        extra = "".join(f" {key}={value}" for key, value in self.params.items())
        return f"{self.range}{extra}"


def stamp(instant: datetime) -> str:
    """Return ``2026-03-01T12:00:00Z``, with milliseconds only where there are any."""
    utc = instant.astimezone(UTC)
    millis = f".{utc.microsecond // 1000:03d}" if utc.microsecond else ""
    return f"{utc:%Y-%m-%dT%H:%M:%S}{millis}Z"


def parse_instant(text: str) -> datetime:
    """Return the aware UTC instant of an ISO 8601 text; a date alone is its UTC midnight. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
