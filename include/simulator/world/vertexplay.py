"""The VertexPlay world of one agent: single bets by UTC day.

Provider document bet logs (`POST /v2/betlogs`), table of response fields: 6-decimal amounts and 19-digit ids
as text; betStatus 2 is settled. Until its txTime a bet shows status 1, and a few end with status 3. A change gives a
bet one more state, or adds a bet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from random import Random
from threading import RLock
from typing import Any

import msgspec

from simulator.agents import VertexPlayAgent
from simulator.config import SimConfig
from simulator.encoding import encode_row
from simulator.world.chance import DAY, HOUR, MINUTE, SECOND, dice
from simulator.world.change import ChangeOrder
from simulator.world.memo import Memo
from simulator.world.texts import HOSTILE, marked, name

OPEN, SETTLED, CANCELLED = 1, 2, 3
_GAMES = ("VP_230001_1", "VP_230002_1", "VP_110005_2", "VP_400010_1")
_CURRENCIES = ("THB", "USD", "VND2")


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """How a bet ended, seen from `at` on; amounts in millionths."""

    at: int
    tx_time: int
    status: int
    valid: int
    win: int
    jackpot: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bet:
    """One bet: what never changes, since when it is reported, and its states in order of `at`."""

    bet_time: int
    transfer_id: str
    round_id: str
    user: str
    currency: str
    game: str
    source: int
    stake: int
    appears_at: int
    states: tuple[State, ...]

    def shown(self, as_of: int) -> int:
        """How many states have come by `as_of`: 0 while the bet is open."""
        return sum(state.at <= as_of for state in self.states)


def instant_text(instant: int) -> str:
    """An instant (ms) as YYYY-MM-DDTHH:mm:ss.SSSZ."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def _six(micro: int) -> str:
    return f"{micro // 1_000_000}.{micro % 1_000_000:06d}"


def _transfer_id(random: Random, agent: VertexPlayAgent, bet_time: int) -> str:
    plain = str(7_000_000_000_000_000_000 + bet_time * 1_000_000 % 10**18 + random.randrange(1_000_000))
    return marked(plain) if agent.hostile_ids else plain


def _player(agent: VertexPlayAgent, number: int) -> str:
    usual = f"apitest{number + 1:03d}"
    return name(number, usual) if agent.hostile_ids else usual


def _games(agent: VertexPlayAgent) -> tuple[str, ...]:
    return (*_GAMES, *HOSTILE) if agent.hostile_ids else _GAMES


def _drawn(random: Random, config: SimConfig, agent: VertexPlayAgent, bet_time: int, before: Bet | None) -> Bet:
    """A bet with its natural end; now and then it shares the round of the one `before`."""
    late = random.random() < 0.03
    settle = bet_time + (random.randrange(MINUTE, 2 * HOUR) if late else random.randrange(30 * SECOND))
    player = random.randrange(agent.users)
    transfer = _transfer_id(random, agent, bet_time)
    stake = random.randrange(1, 4000) * 50_000
    shared_round = before is not None and random.random() < 0.1
    status = CANCELLED if random.random() < 0.02 else SETTLED
    bet = Bet(
        bet_time=bet_time,
        transfer_id=transfer,
        round_id=before.round_id if before is not None and shared_round else transfer,
        user=_player(agent, player),
        currency=_CURRENCIES[player % len(_CURRENCIES)],
        game=random.choice(_games(agent)),
        source=1 if random.random() < 0.9 else 2,
        stake=stake,
        appears_at=bet_time,
        states=(),
    )
    end = State(
        at=settle,
        tx_time=settle,
        status=status,
        valid=stake if random.random() < 0.95 else 0,
        win=stake * random.choice((0, 0, 36, 72, 120, 250)) // 100,
        jackpot=random.randrange(10**9) if random.random() < 0.003 else 0,
    )
    return replace(bet, states=(end,)) if config.active(settle) else bet


@dataclass(frozen=True, kw_only=True, slots=True)
class BetDay:
    """The bets of a UTC day by (bet_time, transfer_id), and their rows that were served before."""

    bets: list[Bet]
    encoded: dict[tuple[str, int], msgspec.Raw] = field(default_factory=dict)

    def placed(self, start: int, end: int, as_of: int) -> Iterator[Bet]:
        """The bets placed in [start, end) and reported by `as_of`."""
        first = bisect_left(self.bets, start, key=attrgetter("bet_time"))
        last = bisect_left(self.bets, min(end, as_of + 1), key=attrgetter("bet_time"))
        return (bet for bet in self.bets[first:last] if bet.appears_at <= as_of)


def _day(bets: list[Bet]) -> BetDay:
    return BetDay(bets=sorted(bets, key=attrgetter("bet_time", "transfer_id")))


def _natural(config: SimConfig, agent: VertexPlayAgent, day: int) -> BetDay:
    random = dice(config.seed, "vertexplay", agent.agent_id, day)
    bets: list[Bet] = []
    for hour in range(24):
        for n in range(random.randrange(agent.bets_per_hour // 2, agent.bets_per_hour + 1)):
            # The first two of each hour sit on the edges of ten-minute windows.
            edge = (0, 10 * MINUTE - 1)[n] if n < 2 else random.randrange(HOUR)
            bet_time = day * DAY + hour * HOUR + edge
            bet = _drawn(random, config, agent, bet_time, bets[-1] if bets else None)
            if config.active(bet_time):
                bets.append(bet)
    return _day(bets)


class VertexPlayWorld:
    """Bet logs of one agent; instants are Unix ms."""

    def __init__(self, config: SimConfig, agent: VertexPlayAgent) -> None:
        self.agent = agent
        self._config = config
        self._lock = RLock()
        self._day: Memo[int, BetDay] = Memo(lambda day: _natural(config, agent, day), lock=self._lock)

    def _row(self, bet: Bet, shown: int) -> dict[str, Any]:
        state = bet.states[shown - 1] if shown else None
        paid = state if state is not None and state.status == SETTLED else None
        head, tail = bet.transfer_id[:-19], bet.transfer_id[-18:]
        row: dict[str, Any] = {"betId": f"{head}8{tail}"} if self.agent.bet_ids else {}
        return row | {
            "betTime": instant_text(bet.bet_time),
            "txTime": instant_text(state.tx_time if state else bet.bet_time),
            "currency": bet.currency,
            "brand": "VP",
            "gameCode": bet.game,
            "username": bet.user,
            "roundId": bet.round_id,
            "transferId": bet.transfer_id,
            "betStatus": state.status if state else OPEN,
            "actualBetAmt": _six(bet.stake),
            "validBetAmt": _six(paid.valid if paid else 0),
            "winAmt": _six(paid.win if paid else 0),
            "jackpotWin": _six(paid.jackpot if paid else 0),
            "jackpotContribute": _six(bet.stake // 200),
            "betSourceId": bet.source,
        }

    def _encoded(self, day: BetDay, bet: Bet, shown: int) -> msgspec.Raw:
        key = (bet.transfer_id, shown)
        found = day.encoded.get(key)
        if found is None:
            found = day.encoded[key] = encode_row(self._row(bet, shown))
        return found

    def _placed(self, start: int, end: int, as_of: int) -> Iterator[tuple[BetDay, Bet]]:
        for number in range(start // DAY, (end - 1) // DAY + 1):
            day = self._day(number)
            for bet in day.placed(start, end, as_of):
                yield day, bet

    def betlogs(self, start: int, end: int, *, as_of: int, source: int = 0) -> list[dict[str, Any]]:
        """Rows with betTime in [start, end) and not after `as_of`, by (betTime, transferId); source 0 means
        all.
        """
        placed = self._placed(start, end, as_of)
        return [self._row(bet, bet.shown(as_of)) for _, bet in placed if source in (0, bet.source)]

    def encoded(self, start: int, end: int, *, as_of: int, source: int = 0) -> list[msgspec.Raw]:
        """The rows of `betlogs`, encoded."""
        placed = self._placed(start, end, as_of)
        return [self._encoded(day, bet, bet.shown(as_of)) for day, bet in placed if source in (0, bet.source)]

    def change(self, order: ChangeOrder) -> Counter[str]:
        """Carry out `order` on the settled bets of its range; returns how many rows changed by kind."""
        with self._lock:
            placed = (bet for _, bet in self._placed(order.start, order.end, order.at))
            settled = [bet for bet in placed if _is_settled(bet, order.at)]
            done: Counter[str] = Counter()
            by_day: dict[int, dict[str, Bet]] = defaultdict(dict)
            for bet, kind in order.picks(settled):
                changed = self._late(order) if kind == "late" else _changed(bet, kind, order)
                if changed is not None:
                    by_day[changed.bet_time // DAY][changed.transfer_id] = changed
                    done[kind] += 1
            for number, replaced in by_day.items():
                bets = {bet.transfer_id: bet for bet in self._day(number).bets} | replaced
                self._day.pin(number, _day(list(bets.values())))
            return done

    def _late(self, order: ChangeOrder) -> Bet | None:
        start = max(order.start, self._config.activity_from or 0)
        end = min(order.end, order.at + 1)
        if start >= end:
            return None
        bet = _drawn(order.random, self._config, self.agent, order.random.randrange(start, end), None)
        states = tuple(replace(state, at=order.at, tx_time=min(state.tx_time, order.at)) for state in bet.states)
        return replace(bet, appears_at=order.at, states=states)


def _is_settled(bet: Bet, as_of: int) -> bool:
    shown = bet.shown(as_of)
    return bool(shown) and bet.states[shown - 1].status == SETTLED


def _changed(bet: Bet, kind: str, order: ChangeOrder) -> Bet:
    """`bet`, which is settled, with one more state from the order's instant on."""
    last = bet.states[bet.shown(order.at) - 1]
    if kind == "voided":
        state = replace(last, status=CANCELLED)
    else:
        wins = [bet.stake * percent // 100 for percent in (0, 36, 72, 120, 250)]
        win = order.random.choice([one for one in wins if one != last.win])
        valid = order.random.choice((bet.stake, bet.stake // 2, 0))
        state = replace(last, win=win, valid=valid)
    tx_time = last.tx_time if kind == "resettled_quietly" else order.at
    states = (*bet.states, replace(state, at=order.at, tx_time=tx_time))
    return replace(bet, states=tuple(sorted(states, key=attrgetter("at"))))
