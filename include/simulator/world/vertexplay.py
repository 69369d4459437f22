"""The VertexPlay world of one agent: single bets by UTC day.

Provider document bet logs (`POST /v2/betlogs`), table of response fields: 6-decimal amounts and 19-digit ids
as text; betStatus 2 is settled. Until its txTime a bet shows status 1, and a few end with status 3.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from simulator.config import SimConfig, VertexPlayAgent
from simulator.world.chance import DAY, HOUR, MINUTE, SECOND, dice, per_day

OPEN, SETTLED, CANCELLED = 1, 2, 3
_GAMES = ("VP_230001_1", "VP_230002_1", "VP_110005_2", "VP_400010_1")
_CURRENCIES = ("THB", "USD", "VND2")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bet:
    bet_time: int
    transfer_id: str
    settle_time: int | None
    status: int
    round_id: str
    user: str
    currency: str
    game: str
    source: int
    stake: int
    valid: int
    win: int
    jackpot: int


def instant_text(instant: int) -> str:
    """An instant (ms) as YYYY-MM-DDTHH:mm:ss.SSSZ."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant % 1000:03d}Z"


def _six(micro: int) -> str:
    return f"{Decimal(micro).scaleb(-6):.6f}"


def _day_bets(config: SimConfig, agent: VertexPlayAgent, day: int) -> list[_Bet]:
    random = dice(config.seed, "vertexplay", agent.agent_id, day)
    bets: list[_Bet] = []
    for hour in range(24):
        for n in range(random.randrange(agent.bets_per_hour // 2, agent.bets_per_hour + 1)):
            # The first two of each hour sit on the edges of ten-minute windows.
            edge = (0, 10 * MINUTE - 1)[n] if n < 2 else random.randrange(HOUR)
            bet_time = day * DAY + hour * HOUR + edge
            late = random.random() < 0.03
            settle = bet_time + (random.randrange(MINUTE, 2 * HOUR) if late else random.randrange(30 * SECOND))
            player = random.randrange(agent.users)
            transfer = 7_000_000_000_000_000_000 + bet_time * 1_000_000 % 10**18 + random.randrange(1_000_000)
            stake = random.randrange(1, 4000) * 50_000
            shared_round = bool(bets) and random.random() < 0.1
            bet = _Bet(
                bet_time=bet_time,
                transfer_id=str(transfer),
                settle_time=settle if config.active(settle) else None,
                status=CANCELLED if random.random() < 0.02 else SETTLED,
                round_id=bets[-1].round_id if shared_round else str(transfer),
                user=f"apitest{player + 1:03d}",
                currency=_CURRENCIES[player % len(_CURRENCIES)],
                game=random.choice(_GAMES),
                source=1 if random.random() < 0.9 else 2,
                stake=stake,
                valid=stake if random.random() < 0.95 else 0,
                win=stake * random.choice((0, 0, 36, 72, 120, 250)) // 100,
                jackpot=random.randrange(10**9) if random.random() < 0.003 else 0,
            )
            if config.active(bet_time):
                bets.append(bet)
    return sorted(bets, key=lambda bet: (bet.bet_time, bet.transfer_id))


class VertexPlayWorld:
    """Bet logs of one agent; instants are Unix ms."""

    def __init__(self, config: SimConfig, agent: VertexPlayAgent) -> None:
        self.agent = agent
        self._day = per_day(lambda day: _day_bets(config, agent, day))

    def _row(self, bet: _Bet, as_of: int) -> dict[str, Any]:
        done = bet.settle_time is not None and bet.settle_time <= as_of
        status = bet.status if done else OPEN
        paid = status == SETTLED
        row: dict[str, Any] = {"betId": f"8{bet.transfer_id[1:]}"} if self.agent.bet_ids else {}
        return row | {
            "betTime": instant_text(bet.bet_time),
            "txTime": instant_text(bet.settle_time if done and bet.settle_time is not None else bet.bet_time),
            "currency": bet.currency,
            "brand": "VP",
            "gameCode": bet.game,
            "username": bet.user,
            "roundId": bet.round_id,
            "transferId": bet.transfer_id,
            "betStatus": status,
            "actualBetAmt": _six(bet.stake),
            "validBetAmt": _six(bet.valid if paid else 0),
            "winAmt": _six(bet.win if paid else 0),
            "jackpotWin": _six(bet.jackpot if paid else 0),
            "jackpotContribute": _six(bet.stake // 200),
            "betSourceId": bet.source,
        }

    def betlogs(self, start: int, end: int, *, as_of: int, source: int = 0) -> list[dict[str, Any]]:
        """Rows with betTime in [start, end) and not after `as_of`, by (betTime, transferId); source 0 means
        all.
        """
        rows = []
        for day in range(start // DAY, (end - 1) // DAY + 1):
            bets = self._day(day)
            first = bisect_left(bets, start, key=lambda bet: bet.bet_time)
            last = bisect_left(bets, min(end, as_of + 1), key=lambda bet: bet.bet_time)
            rows += [self._row(bet, as_of) for bet in bets[first:last] if source in (0, bet.source)]
        return rows
