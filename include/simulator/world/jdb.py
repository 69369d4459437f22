"""The JDB world of one parent: a report per Beijing noon-to-noon day, game type and player.

Provider document 'Action 42', response table: netWin = bet + win; bet, validBet, jackpotContribute and tax
are negative; with card games enabled every row carries a tax under the key "tax " (with a space).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from random import Random
from typing import Any

from simulator.config import JdbAgent, SimConfig
from simulator.world.chance import CHINA_OFFSET, DAY, HOUR, dice

TAX = "tax "
_EPOCH = date(1970, 1, 1)
_FOUR = Decimal("0.0001")

Session = tuple[int, dict[str, Decimal]]


def noon(day: date) -> int:
    """The instant (ms) at which the report day begins: 12:00 of `day` in UTC+8."""
    return (day - _EPOCH).days * DAY + 12 * HOUR - CHINA_OFFSET


def _session(random: Random, *, taxed: bool) -> dict[str, Decimal]:
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
        self._sessions = lru_cache(maxsize=2048)(self._make)

    def _make(self, day: date, g_type: str) -> tuple[tuple[str, tuple[Session, ...]], ...]:
        """(uid, sessions) of a report; one day in eight a game type rests altogether."""
        random = dice(self._config.seed, "jdb", self.agent.agent_id, day.isoformat(), g_type)
        if g_type not in self.agent.g_types or random.random() < 0.125:
            return ()
        start = noon(day)
        players = sorted(random.sample(range(1, self.agent.users + 1), random.randrange(1, self.agent.users + 1)))
        report = []
        for player in players:
            drawn = [
                (start + random.randrange(DAY), _session(random, taxed=self.agent.card_games))
                for _ in range(random.randrange(1, 4))
            ]
            kept = tuple(one for one in drawn if self._config.active(one[0]))
            if kept:
                report.append((f"testpl{player:02d}", kept))
        return tuple(report)

    def report(self, day: date, g_type: str, *, as_of: int) -> list[dict[str, Any]]:
        """The rows of report day `day` and `g_type`, of play up to `as_of` (ms), by uid."""
        rows = []
        for uid, sessions in self._sessions(day, g_type):
            played = [values for at, values in sessions if at <= as_of]
            if played:
                names = played[0]
                sums = {name: sum((values[name] for values in played), Decimal(0)) for name in names}
                rows.append({"uid": uid, **{name: _number(value) for name, value in sums.items()}})
        return rows

    def dated(self, start: int, end: int, *, as_of: int) -> Iterable[dict[str, Any]]:
        """Rows of all report days beginning in [start, end) (ms), with their date (dd-MM-yyyy) and gType."""
        day = _EPOCH + timedelta(days=-((noon(_EPOCH) - start) // DAY))
        while noon(day) < end:
            for g_type in self.agent.g_types:
                for row in self.report(day, g_type, as_of=as_of):
                    yield {"date": day.strftime("%d-%m-%Y"), "gType": g_type, **row}
            day += timedelta(days=1)
