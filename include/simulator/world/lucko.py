"""The Lucko world of one agent: bets and rebates of any day, as shown at any instant.

Days are made when first asked for and remembered. Layers, each resting only on the one before: natural bets
of a day → rebates of a settlement day with their plants → final bets of a day (natural + later corrections +
added bets). Changes on demand replace final days and plans; nothing below them notices.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from operator import itemgetter
from threading import RLock
from typing import Any, NamedTuple

import msgspec

from simulator.agents import LuckoAgent
from simulator.config import SimConfig
from simulator.encoding import encode_row
from simulator.world.bets import SETTLED, Bet, bet_row
from simulator.world.chance import DAY, HOUR
from simulator.world.change import ChangeOrder
from simulator.world.lucko_bets import clipped, natural_day, users_of
from simulator.world.lucko_changes import OF_A_BET, changed, late_bet
from simulator.world.lucko_rebate_changes import changed_rebates
from simulator.world.lucko_rebates import DayPlan, Rebate, plan_day
from simulator.world.memo import Memo

LOOKBACK_DAYS = 2
"""No version's update_time lies more whole days after the bet's day: settle the next day, correction on the
one after. Changes on demand may come later; their days are always looked at.
"""


class Entry(NamedTuple):
    """The n-th version of a bet, as it stands in the order of a window."""

    update_time: int
    bet_id: str
    n: int
    bet: Bet

    def shown(self, as_of: int) -> bool:
        """True when this is the version a bet shows at `as_of`."""
        versions, n = self.bet.versions, self.n
        return versions[n].at <= as_of and (n + 1 == len(versions) or versions[n + 1].at > as_of)

    def row(self) -> dict[str, Any]:
        """The row the provider serves."""
        return bet_row(self.bet, self.bet.versions[self.n])


@dataclass(frozen=True, kw_only=True, slots=True)
class BetDay:
    """The final bets of a UTC day, and all their versions in order.

    `encoded` keeps rows that were served before: encoding them is most of the work of an answer.
    """

    bets: dict[str, Bet]
    entries: list[Entry]
    encoded: dict[tuple[str, int], msgspec.Raw] = field(default_factory=dict)

    def shown(self, start: int, end: int, as_of: int) -> list[Entry]:
        """The bets whose update_time, as of `as_of`, lies in [start, end), in order."""
        first = bisect_left(self.entries, (start,))
        last = bisect_left(self.entries, (end,))
        return [entry for entry in self.entries[first:last] if entry.shown(as_of)]

    def row(self, entry: Entry) -> msgspec.Raw:
        """The encoded row of one of the day's entries."""
        key = (entry.bet_id, entry.n)
        found = self.encoded.get(key)
        if found is None:
            found = self.encoded[key] = encode_row(entry.row())
        return found

    def with_bets(self, changed: dict[str, Bet]) -> BetDay:
        """The day with these bets in place of what stood under their ids."""
        entries = [entry for entry in self.entries if entry.bet_id not in changed] + _entries(changed)
        encoded = {key: row for key, row in list(self.encoded.items()) if key[0] not in changed}
        return BetDay(bets=self.bets | changed, entries=sorted(entries, key=_ORDER), encoded=encoded)


_ORDER = itemgetter(0, 1, 2)


def _entries(bets: dict[str, Bet]) -> list[Entry]:
    return [
        Entry(version.update_time, bet.id, n, bet) for bet in bets.values() for n, version in enumerate(bet.versions)
    ]


def bet_day(bets: dict[str, Bet]) -> BetDay:
    """A day of `bets` by id."""
    return BetDay(bets=bets, entries=sorted(_entries(bets), key=_ORDER))


class Page(NamedTuple):
    """A part of a window: how many rows the window has, and the encoded rows of the part."""

    total: int
    rows: list[msgspec.Raw]


class LuckoWorld:
    """Bets and rebates of one agent. Instants are Unix ms; `as_of` is the one whose state is shown."""

    def __init__(self, config: SimConfig, agent: LuckoAgent) -> None:
        self.agent = agent
        self._config = config
        self._lock = RLock()
        self._people = users_of(agent)
        self._natural = Memo(self._make_natural, lock=self._lock)
        self._plan = Memo(self._make_plan, lock=self._lock)
        self._final = Memo(self._make_final, lock=self._lock)

    def _make_natural(self, day: int) -> tuple[Bet, ...]:
        return natural_day(self._config, self.agent, self._people, day)

    def _make_plan(self, day: int) -> DayPlan:
        # A bet of the evening before may settle on this day.
        bets = (*self._natural(day - 1), *self._natural(day))
        return plan_day(self._config, self.agent, day, bets)

    def _make_final(self, day: int) -> BetDay:
        bets = {bet.id: bet for bet in self._natural(day)}
        for plan in (self._plan(day), self._plan(day + 1)):
            bets |= {bet.id: bet for bet in plan.extra_bets if bet.bet_time // DAY == day}
            for bet_id, version in plan.corrections:
                if bet_id in bets:
                    bets[bet_id] = bets[bet_id].with_version(version)
        kept = ((bet_id, clipped(bet, self._config)) for bet_id, bet in bets.items())
        return bet_day({bet_id: bet for bet_id, bet in kept if bet is not None})

    # ------------------------------------------------------------ bets

    def _days(self, start: int, end: int) -> list[BetDay]:
        days = set(range(start // DAY - LOOKBACK_DAYS, (end - 1) // DAY + 1))
        return [self._final(day) for day in sorted(days.union(self._final.pinned))]

    def _shown(self, start: int, end: int, as_of: int) -> list[tuple[Entry, BetDay]]:
        found = [(entry, day) for day in self._days(start, end) for entry in day.shown(start, end, as_of)]
        found.sort(key=itemgetter(0))  # entries of one bet differ in n, so that bets are never compared
        return found

    def bets(self, start: int, end: int, *, as_of: int) -> list[dict[str, Any]]:
        """Rows whose update_time, as of `as_of`, lies in [start, end), by (update_time, id)."""
        return [entry.row() for entry, _ in self._shown(start, end, as_of)]

    def page(self, start: int, end: int, *, as_of: int, index: int, size: int) -> Page:
        """The rows of `bets` from position `index` on, at most `size`, encoded."""
        found = self._shown(start, end, as_of)
        return Page(len(found), [day.row(entry) for entry, day in found[index : index + size]])

    def lines(self, start: int, end: int, *, as_of: int) -> Iterator[list[msgspec.Raw]]:
        """The rows of `bets`, encoded, hour by hour."""
        for begin in range(start, end, HOUR):
            yield self.page(begin, min(begin + HOUR, end), as_of=as_of, index=0, size=sys.maxsize).rows

    def bet(self, bet_id: str, *, as_of: int) -> dict[str, Any] | None:
        """The row of one bet as of `as_of`, None when no such bet exists then."""
        bet = self._find(bet_id)
        version = bet.at(as_of) if bet else None
        return bet_row(bet, version) if bet and version else None

    def _find(self, bet_id: str) -> Bet | None:
        day = day_of(bet_id)
        return None if day is None else self._final(day).bets.get(bet_id)

    def _replace(self, bets: list[Bet]) -> None:
        by_day: dict[int, dict[str, Bet]] = defaultdict(dict)
        for bet in bets:
            by_day[bet.bet_time // DAY][bet.id] = bet
        for day, replaced in by_day.items():
            self._final.pin(day, self._final(day).with_bets(replaced))

    def touch(self, bet_id: str, *, at: int) -> None:
        """Update an order at `at` without changing it otherwise: only its update_time moves."""
        with self._lock:
            bet = self._find(bet_id)
            shown = bet.at(at) if bet else None
            if bet is None or shown is None:
                raise KeyError(bet_id)
            self._replace([bet.with_version(replace(shown, at=at, update_time=at))])

    def change_bets(self, order: ChangeOrder) -> Counter[str]:
        """Carry out `order` on settled bets shown in its range; returns how many rows changed by kind."""
        with self._lock:
            shown = (entry for entry, _ in self._shown(order.start, order.end, order.at))
            return self._carry_out(order, [entry for entry in shown if entry.bet.versions[entry.n].status == SETTLED])

    def _carry_out(self, order: ChangeOrder, settled: list[Entry]) -> Counter[str]:
        drawn = ((kind, self._changed(entry, kind, order)) for entry, kind in order.picks(settled))
        done = [(kind, bet) for kind, bet in drawn if bet is not None]
        self._replace([bet for _, bet in done])
        return Counter(kind for kind, _ in done)

    def _changed(self, entry: Entry, kind: str, order: ChangeOrder) -> Bet | None:
        if kind in OF_A_BET:
            return changed(entry.bet, entry.bet.versions[entry.n], kind=kind, at=order.at, random=order.random)
        start = max(order.start, self._config.activity_from or 0)
        end = min(order.end, order.at + 1)
        if start >= end:
            return None
        bet_time = order.random.randrange(start, end)
        return late_bet(
            order.random,
            people=self._people,
            bet_time=bet_time,
            at=order.at,
            kind=kind,
            hostile=self.agent.hostile_ids,
        )

    # ------------------------------------------------------------ rebates

    def was_changed(self, rebate: Rebate) -> bool:
        """True when a change on demand touched the rebate, or a day of one of its bets."""
        itself = rebate.late_until is not None or rebate.recovers_at is not None
        days = set(self._final.pinned)
        return itself or any(day_of(bet_id) in days for bet_id in rebate.txn_ids)

    def dispatched(self, start: int, end: int, *, as_of: int) -> list[Rebate]:
        """Rebates with create_time in [start, end), as shown at `as_of`, by (create_time, id)."""
        days = range(start // DAY - 1, (end - 1) // DAY)
        found = (rebate for day in days for rebate in self._plan(day).rebates)
        return [
            rebate.shown(as_of) for rebate in found if start <= rebate.create_time < end and rebate.appears_at <= as_of
        ]

    def rebates(self, start: int, end: int, *, as_of: int) -> list[dict[str, Any]]:
        """The rows of `dispatched`."""
        return [rebate.row() for rebate in self.dispatched(start, end, as_of=as_of)]

    def change_rebates(self, order: ChangeOrder) -> Counter[str]:
        """Carry out `order` on the rebates dispatched in its range; returns how many rows changed by kind."""
        with self._lock:
            shown = self.dispatched(order.start, order.end, as_of=order.at)
            made = changed_rebates(shown, order, config=self._config, hostile=self.agent.hostile_ids, find=self._find)
            by_day: dict[int, dict[str, Rebate]] = defaultdict(dict)
            for _, rebate in made:
                by_day[rebate.create_time // DAY - 1][rebate.id] = rebate
            for day, replaced in by_day.items():
                plan = self._plan(day)
                rebates = {rebate.id: rebate for rebate in plan.rebates} | replaced
                ordered = sorted(rebates.values(), key=lambda rebate: (rebate.create_time, rebate.id))
                self._plan.pin(day, replace(plan, rebates=tuple(ordered)))
            return Counter(kind for kind, _ in made)


def day_of(bet_id: str) -> int | None:
    """The UTC day a bet was placed on, read from its id: the last 24 digits begin with the bet's second."""
    try:
        return int(bet_id[-24:-16], 16) * 1000 // DAY
    except ValueError:
        return None
