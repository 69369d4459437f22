"""What the ledger says of a running demo, as bars on a terminal or as plain lines elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

TITLES = {
    ("lucko", "bets"): "Lucko bets",
    ("lucko", "rebates"): "Lucko rebates",
    ("hotroad", "summary"): "HotRoad summary",
    ("jdb", "daily"): "JDB daily",
    ("vertexplay", "betlogs"): "VertexPlay bet logs",
}


@dataclass(frozen=True)
class FeedState:
    """Slices of one feed: how many are expected, certified, and found wrong."""

    expected: int
    certified: int
    suspect: int
    missing: int


def read_feeds(connection: psycopg.Connection) -> dict[tuple[str, str], FeedState]:
    """Return every declared feed's state by (provider, feed)."""
    rows = connection.execute(
        """SELECT provider, feed, count(*), count(*) FILTER (WHERE status = 'certified'),
                  count(*) FILTER (WHERE status = 'suspect'),
                  count(*) FILTER (WHERE status NOT IN ('certified', 'suspect'))
           FROM ops.slice_status GROUP BY provider, feed"""
    ).fetchall()
    return {(provider, feed): FeedState(*counts) for provider, feed, *counts in rows}


def judged_days(connection: psycopg.Connection, days: list[str]) -> int:
    """Return how many of *days* were judged after every slice of the reconciled feeds was certified."""
    row = connection.execute(
        """SELECT count(DISTINCT day) FROM recon.runs r CROSS JOIN unnest(r.days) AS day
           WHERE r.duration IS NOT NULL AND day = ANY(%s::date[])
             AND r.started_at > (SELECT max(loaded_at) FROM ops.readings
                                 WHERE provider = 'lucko' AND state = 'certified' AND kind = 'first')""",
        (days,),
    ).fetchone()
    assert row is not None
    return int(row[0])


class ProgressView:
    """Bars per feed on a terminal; one line per change elsewhere."""

    def __init__(self, console: Console, days: int) -> None:
        self.console = console
        self._days = days
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._last = ""

    def __enter__(self) -> ProgressView:
        if self.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop() if self.console.is_terminal else None

    def show(self, feeds: dict[tuple[str, str], FeedState], judged: int) -> None:
        """Show the newest state."""
        states = {TITLES[key]: (state.certified, state.expected) for key, state in feeds.items()}
        states["Reconciled days"] = (judged, self._days)
        if not self.console.is_terminal:
            self._show_line(states)
            return
        for title, (done, expected) in states.items():
            key = (title, "")
            if key not in self._tasks:
                self._tasks[key] = self._progress.add_task(title, total=expected)
            self._progress.update(self._tasks[key], completed=done, total=expected)

    def _show_line(self, states: dict[str, tuple[int, int]]) -> None:
        slices = [pair for title, pair in states.items() if title != "Reconciled days"]
        done, expected = sum(pair[0] for pair in slices), sum(pair[1] for pair in slices)
        filled = 30 * done // max(expected, 1)
        line = f"[{'#' * filled}{'.' * (30 - filled)}] slices {done} of {expected}: " + ", ".join(
            f"{title} {pair[0]}/{pair[1]}" for title, pair in states.items()
        )
        if line != self._last:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._last = line
