"""The JDB world of one parent: a report per Beijing noon-to-noon day, game type and player.

Provider document 'Action 42', response table: netWin = bet + win; bet, validBet, jackpotContribute and tax
are negative; with card games enabled every row carries a tax under the key "tax " (with a space). A change ends
sessions and adds others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from threading import RLock
from typing import Any

from simulator.agents import JdbAgent
from simulator.config import SimConfig
from simulator.world.chance import CHINA_OFFSET, DAY, HOUR, dice
from simulator.world.change import ChangeOrder
from simulator.world.memo import Memo
from simulator.world.texts import name

TAX = "tax "
_EPOCH = date(1970, 1, 1)
_FOUR = Decimal("0.0001")

Report = dict[str, tuple["Session", ...]]
"""The sessions of each player of one day and game type, by uid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Play of one player that is reported from `at` on and, if it is taken back, until `until` (ms)."""

    at: int
    values: dict[str, Decimal]
    until: int | None = None

    def counts(self, as_of: int) -> bool:
        """True while it is part of the report."""
        return self.at <= as_of and (self.until is None or as_of < self.until)


def noon(day: date) -> int:
    """The instant (ms) at which the report day begins: 12:00 of `day` in UTC+8."""
    return (day - _EPOCH).days * DAY + 12 * HOUR - CHINA_OFFSET


def _days(start: int, end: int) -> Iterator[date]:
    """The report days beginning in [start, end)."""
    day = _EPOCH + timedelta(days=-((noon(_EPOCH) - start) // DAY))
    while noon(day) < end:
        yield day
        day += timedelta(days=1)


def _played(random: Random, *, taxed: bool) -> dict[str, Decimal]:
    stake = Decimal(random.randrange(50, 400_000)).scaleb(-2)
    won = (stake * random.choice((0, 0, 40, 69, 90, 130, 260)) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    values = {
        "bet": -stake,
        "win": won,
        "netWin": won - stake,
        "jackpot": Decimal(random.randrange(1, 9000)) if random.random() < 0.01 else Decimal(0),
        "jackpotContribute": (-stake * Decimal("0.005")).quantize(_FOUR, ROUND_HALF_UP),
        "count": Decimal(random.randrange(1, 120)),
        "validBet": -stake,
    }
    if taxed:
        values[TAX] = (-stake * Decimal("0.02")).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return values


def _number(value: Decimal) -> int | Decimal:
    return int(value) if value == value.to_integral_value() else value.normalize()


class JdbWorld:
    """Daily reports of one parent."""

    def __init__(self, config: SimConfig, agent: JdbAgent) -> None:
        self.agent = agent
        self._config = config
        self._lock = RLock()
        self._reports = Memo(self._make, lock=self._lock, keep=2048)

    def _uid(self, player: int) -> str:
        usual = f"testpl{player:02d}"
        return name(player, usual, most=50) if self.agent.hostile_ids else usual

    def _make(self, key: tuple[date, str]) -> Report:
        """One day in eight a game type rests altogether."""
        day, g_type = key
        random = dice(self._config.seed, "jdb", self.agent.agent_id, day.isoformat(), g_type)
        if g_type not in self.agent.g_types or random.random() < 0.125:
            return {}
        start = noon(day)
        players = sorted(random.sample(range(1, self.agent.users + 1), random.randrange(1, self.agent.users + 1)))
        report = {}
        for player in players:
            drawn = [
                Session(at=start + random.randrange(DAY), values=_played(random, taxed=self.agent.card_games))
                for _ in range(random.randrange(1, 4))
            ]
            kept = tuple(one for one in drawn if self._config.active(one.at))
            if kept:
                report[self._uid(player)] = kept
        return report

    def report(self, day: date, g_type: str, *, as_of: int) -> list[dict[str, Any]]:
        """The rows of report day `day` and `g_type`, of what counts at `as_of` (ms), player by player."""
        rows = []
        for uid, sessions in self._reports((day, g_type)).items():
            played = [session.values for session in sessions if session.counts(as_of)]
            if played:
                sums = {key: sum((values[key] for values in played), Decimal(0)) for key in played[0]}
                rows.append({"uid": uid, **{key: _number(value) for key, value in sums.items()}})
        return rows

    def dated(self, start: int, end: int, *, as_of: int) -> Iterable[dict[str, Any]]:
        """Rows of all report days beginning in [start, end) (ms), with their date (dd-MM-yyyy) and gType."""
        for day in _days(start, end):
            for g_type in self.agent.g_types:
                for row in self.report(day, g_type, as_of=as_of):
                    yield {"date": day.strftime("%d-%m-%Y"), "gType": g_type, **row}

    def change(self, order: ChangeOrder) -> Counter[str]:
        """Carry out `order` on the rows of the report days in its range; returns how many rows changed by kind."""
        with self._lock:
            rows = [
                ((day, g_type), uid)
                for day in _days(order.start, order.end)
                for g_type in self.agent.g_types
                if order.g_type in (None, g_type)
                for uid, sessions in self._reports((day, g_type)).items()
                if any(session.counts(order.at) for session in sessions)
            ]
            return Counter(kind for (key, uid), kind in order.picks(rows) if self._change(key, uid, kind, order))

    def _change(self, key: tuple[date, str], uid: str, kind: str, order: ChangeOrder) -> bool:
        """Change one row; False when there is nothing to change."""
        report = self._reports(key)
        new = Session(at=order.at, values=_played(order.random, taxed=self.agent.card_games))
        if kind == "appeared":
            there = {who for who, sessions in report.items() if any(one.counts(order.at) for one in sessions)}
            # One more than there are users: even a full report has somebody who is absent.
            absent = [who for who in map(self._uid, range(1, self.agent.users + 2)) if who not in there]
            uid = order.random.choice(absent) if absent else ""
        counting = [one for one in report.get(uid, ()) if one.counts(order.at)]
        if not uid or (kind != "appeared" and not counting):
            return False
        ended = {"appeared": [], "vanished": counting}.get(kind, counting[:1])
        kept = tuple(replace(one, until=order.at) if one in ended else one for one in report.get(uid, ()))
        self._reports.pin(key, report | {uid: kept if kind == "vanished" else (*kept, new)})
        return True
