"""What coverage must know of a declared feed, and the words and pauses that its parts share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from tieout.core.feed import FeedOptions, FeedSpec

#: The pause before a slice whose reading was suspect is read again: 1 h, doubled with each such reading, at most 1 day.
#: ``%s`` stands for the number of suspect readings so far.
PAUSE = "interval '1 hour' * least(power(2, least(%s, 10) - 1), 24)"


class Declared(Protocol):
    """One feed of one agent, limits as they are declared for it."""

    @property
    def spec(self) -> FeedSpec: ...
    @property
    def agent(self) -> str: ...
    @property
    def options(self) -> FeedOptions: ...
    @property
    def slice_width(self) -> timedelta: ...
    @property
    def lag(self) -> timedelta: ...
    @property
    def interval(self) -> timedelta: ...
    @property
    def revisits(self) -> tuple[timedelta, ...]: ...
    @property
    def stop(self) -> datetime | None: ...


def key(feed: Declared) -> dict[str, object]:
    """Return the parameters that name the feed in the ledger."""
    return {"provider": feed.spec.provider, "feed": feed.spec.name, "agent": feed.agent}


def where(feed: Declared) -> str:
    """Return the place that errors and logs name."""
    return f"{feed.spec.provider} {feed.spec.name} agent={feed.agent}"


def plain(duration: timedelta) -> str:
    """Return ``2 d 4 h``, the two largest units that are not nothing."""
    seconds = int(abs(duration).total_seconds())
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    text = " ".join(f"{count} {unit}" for count, unit in [part for part in parts if part[0]][:2]) or "0 s"
    return f"-{text}" if duration < timedelta(0) else text


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return aligned columns; numbers stand to the right."""
    cells = [list(header), *(["" if value is None else str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    numeric = [len(cells) > 1 and all(row[column].isdecimal() for row in cells[1:]) for column in range(len(header))]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
