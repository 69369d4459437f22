"""How a world is told to change after the fact: which rows, how many, in which ways, and since when.

A provider re-settles, voids, corrects and reports late. A change is one order over a range of one feed; the history
before `at` stays, so the world can still be judged as of any earlier instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")

CHANGES: dict[str, dict[str, str]] = {
    "lucko_bets": {
        "resettled": "another result or turnover; update_time moves to the change",
        "resettled_quietly": "another result or turnover; update_time stays",
        "voided": "status 4, the stake goes back; update_time moves to the change",
        "late": "a bet of the range that appears only now, with an update_time of now",
        "late_in_range": "a bet of the range that appears only now, with an update_time of then",
    },
    "lucko_rebates": {
        "late": "a rebate dispatched in the range that appears only now",
        "recovered": "a failed rebate becomes successful",
    },
    "hotroad_summary": {
        "restated": "other totals of a game in an hour",
        "vanished": "a game leaves an hour",
        "appeared": "a game comes into an hour",
    },
    "jdb_daily": {
        "restated": "other totals of a player",
        "vanished": "a player leaves a report",
        "appeared": "a player comes into a report",
    },
    "vertexplay_betlogs": {
        "resettled": "other amounts; txTime moves to the change",
        "resettled_quietly": "other amounts; txTime stays",
        "voided": "status 3, nothing won",
        "late": "a bet of the range that appears only now",
    },
}
"""The kinds of change by feed."""


@dataclass(frozen=True, kw_only=True)
class ChangeOrder:
    """Change `share` of the rows in [start, end) in the ways of `kinds`, to be seen from `at` on (ms).

    `random` draws rows and values; `g_type` restricts a JDB order to one game type.
    """

    start: int
    end: int
    share: float
    at: int
    kinds: tuple[str, ...]
    random: Random
    g_type: str | None = None

    def count(self, rows: int) -> int:
        """How many of `rows` rows change: the share, but at least one."""
        return min(rows, max(1, round(rows * self.share)))

    def picks(self, rows: Sequence[T]) -> list[tuple[T, str]]:
        """The rows to change, each with its kind; kinds take turns, so that few rows still see all of them."""
        kinds = self.random.sample(self.kinds, len(self.kinds))
        chosen = self.random.sample(rows, self.count(len(rows)))
        return [(row, kinds[n % len(kinds)]) for n, row in enumerate(chosen)]
