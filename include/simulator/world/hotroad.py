"""The HotRoad world of one agent: totals per game and hour of GMT+8, which late settlements still move.

Every hour is a handful of bets, each with the instant it was placed, the instant it settled and perhaps one since
which it no longer counts; a row sums those that count. A change ends bets and adds others. Provider document 'Get
Transactions Summary', section 'Return Result': betAmount = realCredit + freeCredit + promotionCredit, winAmount =
betAmount + winLoss, numbers with at most 4 decimals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from threading import RLock
from typing import Any

from simulator.agents import HotRoadAgent
from simulator.config import SimConfig
from simulator.world.chance import CHINA_OFFSET, DAY, HOUR, MINUTE, SECOND, dice
from simulator.world.change import ChangeOrder
from simulator.world.memo import Memo
from simulator.world.texts import HOSTILE

GAMES: tuple[tuple[str, str], ...] = (
    ("LIVE", "BACCARAT"),
    ("LIVE", "DRAGONTIGER"),
    ("LIVE", "ROULETTE"),
    ("SLOT", "FORTUNE88"),
    ("FISH", "OCEANKING"),
    ("CHESS", "BLACKJACK"),
)
RARE_GAMES: tuple[tuple[str, str], ...] = (("LIVE", "SICBO"), ("SLOT", "WILDGEMS"))
"""Never played but when a change makes a game appear: even an hour with all games lacks these."""

HOSTILE_GAMES: tuple[tuple[str, str], ...] = tuple(
    {(text[:10], text[:20]): None for text in HOSTILE}  # the document's lengths; no pair twice
)
LATE_SHARE = 0.05
"""Share of the bets that settle up to a day after they were placed."""

_AMOUNTS = (
    "betAmount",
    "realCredit",
    "freeCredit",
    "promotionCredit",
    "winLoss",
    "winAmount",
    "validBet",
    "commission",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bet:
    bet_time: int
    settle_time: int
    game: tuple[str, str]
    real: Decimal
    free: Decimal
    promotion: Decimal
    win_loss: Decimal
    valid: Decimal
    commission: Decimal
    until: int | None = None

    def counts(self, as_of: int) -> bool:
        """True while the bet is part of its hour's totals."""
        return self.settle_time <= as_of and (self.until is None or as_of < self.until)


def _money(raw: int) -> Decimal:
    return Decimal(raw).scaleb(-4)


def _games(agent: HotRoadAgent) -> tuple[tuple[str, str], ...]:
    return (*GAMES, *HOSTILE_GAMES) if agent.hostile_ids else GAMES


def _drawn(random: Random, games: tuple[tuple[str, str], ...], *, bet_time: int, settle_time: int) -> _Bet:
    real = random.randrange(1, 50_000) * 1000 + random.choice((0, 0, 5, 250))
    free = random.randrange(1, 200) * 1000 if random.random() < 0.1 else 0
    promotion = random.randrange(1, 100) * 500 if random.random() < 0.05 else 0
    stake = real + free + promotion
    payout = stake * random.choice((0, 0, 0, 195, 200, 200, 350)) // 100
    return _Bet(
        bet_time=bet_time,
        settle_time=settle_time,
        game=random.choice(games),
        real=_money(real),
        free=_money(free),
        promotion=_money(promotion),
        win_loss=_money(payout - stake),
        valid=_money(0 if payout == stake else stake),
        commission=_money(stake * 3 // 1000),
    )


def _hour_bets(config: SimConfig, agent: HotRoadAgent, hour: int) -> tuple[_Bet, ...]:
    """The bets of hour number `hour` since the epoch (GMT+8 hours begin when UTC hours do)."""
    random = dice(config.seed, "hotroad", agent.agent_id, hour)
    bets = []
    for _ in range(random.randrange(agent.bets_per_hour // 2, agent.bets_per_hour + 1)):
        bet_time = hour * HOUR + random.randrange(HOUR)
        late = random.random() < LATE_SHARE
        settle_time = bet_time + random.randrange(HOUR, DAY) if late else bet_time + random.randrange(SECOND, MINUTE)
        bet = _drawn(random, _games(agent), bet_time=bet_time, settle_time=settle_time)
        if config.active(bet_time) and config.active(settle_time):
            bets.append(bet)
    return tuple(bets)


def _number(value: Decimal) -> Decimal:
    """The shortest form with at least one decimal, as the provider writes numbers."""
    short = value.normalize()
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal("0.1")) if isinstance(exponent, int) and exponent > -1 else short


def hour_text(instant: int) -> str:
    """An hour (ms) as the provider writes it: yyyy-MM-dd'T'HH+0800."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant + CHINA_OFFSET)
    return moment.strftime("%Y-%m-%dT%H+0800")


def _rows(bets: Iterable[_Bet]) -> list[dict[str, Any]]:
    sums: dict[tuple[str, str], dict[str, Decimal]] = {}
    for bet in bets:
        stake = bet.real + bet.free + bet.promotion
        values = (
            stake,
            bet.real,
            bet.free,
            bet.promotion,
            bet.win_loss,
            stake + bet.win_loss,
            bet.valid,
            bet.commission,
        )
        row = sums.setdefault(bet.game, dict.fromkeys(_AMOUNTS, Decimal(0)))
        for name, value in zip(_AMOUNTS, values, strict=True):
            row[name] += value
    return [
        {"gameType": game[0], "gameCode": game[1], **{name: _number(value) for name, value in row.items()}}
        for game, row in sorted(sums.items())
    ]


class HotRoadWorld:
    """Summaries of one agent; instants are Unix ms on whole hours."""

    def __init__(self, config: SimConfig, agent: HotRoadAgent) -> None:
        self.agent = agent
        self._config = config
        self._lock = RLock()
        self._hour = Memo(self._make, lock=self._lock, keep=24 * 60)

    def _make(self, hour: int) -> tuple[_Bet, ...]:
        return _hour_bets(self._config, self.agent, hour)

    def _counting(self, start: int, end: int, as_of: int) -> Iterable[_Bet]:
        hours = range(start // HOUR, -(-end // HOUR))
        return (bet for hour in hours for bet in self._hour(hour) if bet.counts(as_of))

    def summary(self, start: int, end: int, *, as_of: int) -> list[dict[str, Any]]:
        """Rows per (gameType, gameCode) of bets placed in [start, end) that count at `as_of`."""
        return _rows(self._counting(start, end, as_of))

    def hourly(self, start: int, end: int, *, as_of: int) -> list[dict[str, Any]]:
        """The rows of each single hour beginning in [start, end), with its text as `hour`."""
        rows: list[dict[str, Any]] = []
        for begin in _hours(start, end):
            rows += [{"hour": hour_text(begin), **row} for row in self.summary(begin, begin + HOUR, as_of=as_of)]
        return rows

    def change(self, order: ChangeOrder) -> Counter[str]:
        """Carry out `order` on the rows of the hours in its range; returns how many rows changed by kind."""
        with self._lock:
            rows = [
                (begin, game)
                for begin in _hours(order.start, order.end)
                for game in sorted({bet.game for bet in self._hour(begin // HOUR) if bet.counts(order.at)})
            ]
            picks = order.picks(rows)
            return Counter(kind for (begin, game), kind in picks if self._change(begin, game, kind, order))

    def _change(self, begin: int, game: tuple[str, str], kind: str, order: ChangeOrder) -> bool:
        """Change one row; False when there is nothing to change."""
        bets = self._hour(begin // HOUR)
        there = [bet for bet in bets if bet.counts(order.at)]
        mine = [bet for bet in there if bet.game == game]
        ended = mine if kind == "vanished" else mine[:1]
        if kind == "appeared":
            absent = [one for one in (*_games(self.agent), *RARE_GAMES) if one not in {bet.game for bet in there}]
            if not absent:
                return False
            game, ended = order.random.choice(absent), []
        new = _drawn(order.random, (game,), bet_time=begin, settle_time=order.at)
        kept = tuple(replace(bet, until=order.at) if bet in ended else bet for bet in bets)
        self._hour.pin(begin // HOUR, kept if kind == "vanished" else (*kept, new))
        return True


def _hours(start: int, end: int) -> range:
    """The whole hours beginning in [start, end)."""
    return range(-(-start // HOUR) * HOUR, end, HOUR)
