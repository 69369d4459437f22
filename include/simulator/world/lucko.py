"""The Lucko world of one agent: bets and rebates of any day, as shown at any instant.

Days are made when first asked for and remembered. Layers, each resting only on the one before: natural bets
of a day → rebates of a settlement day with their plants → final bets of a day (natural + later corrections +
added bets).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from simulator.config import LuckoAgent, SimConfig
from simulator.world.bets import Bet, bet_row
from simulator.world.chance import DAY, per_day
from simulator.world.lucko_bets import clipped, natural_day, users_of
from simulator.world.lucko_rebates import DayPlan, Rebate, plan_day

LOOKBACK_DAYS = 2
"""No version's update_time lies more whole days after the bet's day: settle the next day, correction on the
one after.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Day:
    """The final bets of a UTC day, and (update_time, id, version number) of all versions in order."""

    bets: dict[str, Bet]
    entries: list[tuple[int, str, int]]


def _index(bets: dict[str, Bet]) -> _Day:
    entries = sorted(
        (version.update_time, bet.id, n) for bet in bets.values() for n, version in enumerate(bet.versions)
    )
    return _Day(bets=bets, entries=entries)


class LuckoWorld:
    """Bets and rebates of one agent. Instants are Unix ms; `as_of` is the one whose state is shown."""

    def __init__(self, config: SimConfig, agent: LuckoAgent) -> None:
        self.agent = agent
        self._config = config
        people = users_of(agent)
        self._natural = per_day(lambda day: natural_day(config, agent, people, day))
        self._plan = per_day(self._make_plan)
        self._final = per_day(lambda day: _index(self._make_final(day)))
        self._touched: dict[int, dict[str, int]] = defaultdict(dict)

    def _make_plan(self, day: int) -> DayPlan:
        # A bet of the evening before may settle on this day.
        bets = (*self._natural(day - 1), *self._natural(day))
        return plan_day(self._config, self.agent, day, bets)

    def _make_final(self, day: int) -> dict[str, Bet]:
        bets = {bet.id: bet for bet in self._natural(day)}
        for plan in (self._plan(day), self._plan(day + 1)):
            bets |= {bet.id: bet for bet in plan.extra_bets if bet.bet_time // DAY == day}
            for bet_id, version in plan.corrections:
                if bet_id in bets:
                    bets[bet_id] = bets[bet_id].with_version(version)
        for bet_id, at in self._touched[day].items():
            bets[bet_id] = _touched(bets[bet_id], at)
        kept = ((bet_id, clipped(bet, self._config)) for bet_id, bet in bets.items())
        return {bet_id: bet for bet_id, bet in kept if bet is not None}

    def _bet_days(self, start: int, end: int) -> list[int]:
        days = set(range(start // DAY - LOOKBACK_DAYS, (end - 1) // DAY + 1))
        return sorted(days | {day for day, touched in self._touched.items() if touched})

    def _shown(self, start: int, end: int, as_of: int) -> Iterator[tuple[int, str, Bet, int]]:
        for day in self._bet_days(start, end):
            final = self._final(day)
            first = bisect_left(final.entries, (start,))
            last = bisect_left(final.entries, (end,))
            for update_time, bet_id, n in final.entries[first:last]:
                bet = final.bets[bet_id]
                if bet.index_at(as_of) == n:
                    yield update_time, bet_id, bet, n

    def bets(self, start: int, end: int, *, as_of: int) -> list[dict[str, Any]]:
        """Rows whose update_time, as of `as_of`, lies in [start, end), by (update_time, id)."""
        shown = sorted(self._shown(start, end, as_of), key=lambda one: one[:2])
        return [bet_row(bet, bet.versions[n]) for _, _, bet, n in shown]

    def bet(self, bet_id: str, *, as_of: int) -> dict[str, Any] | None:
        """The row of one bet as of `as_of`, None when no such bet exists then."""
        bet = self._find(bet_id)
        version = bet.at(as_of) if bet else None
        return bet_row(bet, version) if bet and version else None

    def _find(self, bet_id: str) -> Bet | None:
        try:
            day = int(bet_id[:8], 16) * 1000 // DAY  # ids of this world begin with the bet's second
        except ValueError:
            return None
        return self._final(day).bets.get(bet_id)

    def dispatched(self, start: int, end: int, *, as_of: int) -> list[Rebate]:
        """Rebates with create_time in [start, end) and not after `as_of`, by (create_time, id)."""
        days = range(start // DAY - 1, (end - 1) // DAY)
        found = (rebate for day in days for rebate in self._plan(day).rebates)
        return [rebate for rebate in found if start <= rebate.create_time < end and rebate.create_time <= as_of]

    def rebates(self, start: int, end: int, *, as_of: int) -> list[dict[str, Any]]:
        """The rows of `dispatched`."""
        return [rebate.row() for rebate in self.dispatched(start, end, as_of=as_of)]

    def touch(self, bet_id: str, *, at: int) -> None:
        """Update an order at `at` without changing it otherwise: only its update_time moves."""
        bet = self._find(bet_id)
        if bet is None or bet.at(at) is None:
            raise KeyError(bet_id)
        day = bet.bet_time // DAY
        self._touched[day][bet_id] = at
        # per_day cannot forget a single day, and the others are cheap to index again.
        self._final = per_day(lambda one: _index(self._make_final(one)))


def _touched(bet: Bet, at: int) -> Bet:
    shown = bet.at(at)
    return bet if shown is None else bet.with_version(replace(shown, at=at, update_time=at))
