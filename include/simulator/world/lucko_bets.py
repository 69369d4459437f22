"""The natural bets of one Lucko agent: a UTC day of play, drawn from the seed.

About one settlement in ten leaves `update_time` at the bet's instant, as the provider's baccarat sample does.
Natural voids and restatements end before the earliest rebate dispatch of their settlement day, so a rebate
nobody tampered with stays right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import NamedTuple

from simulator.agents import LuckoAgent
from simulator.config import SimConfig
from simulator.world.bets import CANCELLED, INVALID, PLACED, SETTLED, VOIDED, Bet, Version
from simulator.world.chance import DAY, HOUR, MINUTE, SECOND, dice, digits
from simulator.world.games import BAG, HOSTILE_BAG, Game, Outcome, Stakes, split
from simulator.world.texts import marked, name

DISPATCH_FROM, DISPATCH_UNTIL = 10 * MINUTE, HOUR
"""Rebates of a settlement day are dispatched this long after its end."""

CORRECTIONS_END = 9 * MINUTE
"""No natural correction comes later than this after the end of the settlement day."""

_USER_FORMS = ("{:d}", "user{:03d}", "uid{:03d}", "玩家{:02d}")
_STEPS = {"USD": (500, 40), "CNY": (1000, 60), "VND2": (5000, 100)}  # smallest chip in cents, chips at most
_PACE = (
    60,
    50,
    45,
    40,
    45,
    55,
    70,
    85,
    95,
    100,
    105,
    110,
    115,
    115,
    120,
    120,
    125,
    130,
    140,
    145,
    145,
    130,
    110,
    85,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A player and the currencies played in, the main one first."""

    user_id: str
    currencies: tuple[str, ...]


class _Placed(NamedTuple):
    """What a bet's history needs to know of its beginning."""

    time: int
    amount: Decimal
    stakes: Stakes
    no_comm: bool


def users_of(agent: LuckoAgent) -> tuple[User, ...]:
    """The players of an agent: ids of several forms, one in ten with a second currency."""
    people = []
    for n in range(agent.users):
        form = _USER_FORMS[3] if n % 40 == 39 else _USER_FORMS[n % 3]
        number = 7001 + n if form == _USER_FORMS[0] else n + 1
        main = ("USD", "USD", "CNY", "USD", "CNY", "VND2")[n % 6]
        second = ("CNY" if main == "USD" else "USD",) if n % 10 == 0 else ()
        user_id = form.format(number)
        people.append(User(user_id=name(n, user_id) if agent.hostile_ids else user_id, currencies=(main, *second)))
    return tuple(people)


def _amount(random: Random, currency: str) -> Decimal:
    step, most = _STEPS[currency]
    raw = step * random.randrange(1, most)
    if currency != "VND2" and random.random() < 0.3:
        raw += random.randrange(100)
    return Decimal(raw).scaleb(-2)


def _settled(outcome: Outcome, *, at: int, update_time: int, settle_time: int) -> Version:
    return Version(
        at=at,
        update_time=update_time,
        status=SETTLED,
        settle_time=settle_time,
        turnover=outcome.turnover,
        win=outcome.win,
        wins=outcome.wins,
        result=outcome.result,
        cards=outcome.cards,
    )


def voided(version: Version, *, amount: Decimal, at: int, keep_turnover: bool) -> Version:
    """`version` changed to invalid at `at`: the stake goes back; the turnover stays visible or is zeroed."""
    turnover = version.turnover if keep_turnover else Decimal(0)
    return replace(version, at=at, update_time=at, status=VOIDED, turnover=turnover, win=amount, wins=())


def ended_unplayed(*, at: int, status: int, amount: Decimal) -> Version:
    """A bet cancelled by its user or found invalid before any settlement: the stake goes back."""
    return Version(at=at, update_time=at, status=status, win=amount)


def _history(random: Random, game: Game, bet: _Placed, *, quiet: bool) -> tuple[Version, ...]:
    """The versions of a bet; `quiet` keeps update_time at the bet's instant."""
    placed = Version(at=bet.time, update_time=bet.time, status=PLACED)
    fate = random.random()
    if fate < 0.035 and not quiet:
        status = CANCELLED if fate < 0.02 else INVALID
        end = bet.time + random.randrange(SECOND, 6 * SECOND)
        return (placed, ended_unplayed(at=end, status=status, amount=bet.amount))
    lag = random.randrange(5 * SECOND, 60 * SECOND) if fate < 0.99 else random.randrange(HOUR, 3 * HOUR)
    settle = bet.time + lag
    outcome = game.settle(random, bet.stakes, bet.no_comm)
    update = bet.time if quiet or random.random() < 0.08 else settle
    settled = _settled(outcome, at=settle, update_time=update, settle_time=settle)
    if 0.035 <= fate < 0.065:
        latest = min(settle + 6 * HOUR, (settle // DAY + 1) * DAY + CORRECTIONS_END)
        again = random.randrange(settle + SECOND, latest)
        if fate < 0.047:
            change = voided(settled, amount=bet.amount, at=again, keep_turnover=random.random() < 0.5)
        else:
            outcome = game.settle(random, bet.stakes, bet.no_comm)
            change = _settled(outcome, at=again, update_time=again, settle_time=settle)
        return (placed, settled, change)
    return (placed, settled)


def new_bet(
    random: Random, *, user_id: str, currency: str, bet_time: int, quiet: bool = False, hostile: bool = False
) -> Bet:
    """A bet with its whole natural history; `hostile` makes its id or game a hostile text now and then."""
    game = random.choice(HOSTILE_BAG if hostile else BAG)
    amount = _amount(random, currency)
    stakes = split(random, amount, game.items(random))
    placed = _Placed(bet_time, amount, stakes, game.game_id == "101" and random.random() < 0.5)
    plain = f"{bet_time // 1000:08x}{digits(random, 16)}"
    return Bet(
        id=marked(plain) if hostile else plain,
        user_id=user_id,
        game_id=game.game_id,
        table=f"iN{random.randrange(12):02d}KcYR",
        shoe=10_000 + bet_time // HOUR % 9000,
        round=random.randrange(1, 90),
        bet_time=bet_time,
        currency=currency,
        amount=amount,
        stakes=stakes,
        no_comm=placed.no_comm,
        versions=_history(random, game, placed, quiet=quiet),
    )


def _instants(random: Random, agent: LuckoAgent, hour_start: int, pace: int) -> list[int]:
    """Bet instants of an hour: with its first and last millisecond and one tie, for readers' edges."""
    count = max(4, agent.bets_per_hour * pace // 96)
    free = [hour_start + random.randrange(1, HOUR - 1) for _ in range(count - 3)]
    return [hour_start, hour_start + HOUR - 1, *free, free[0]]


def clipped(bet: Bet, config: SimConfig) -> Bet | None:
    """The bet without what falls outside the activity; None when it was never placed."""
    if not config.active(bet.bet_time):
        return None
    kept = tuple(version for version in bet.versions if config.active(version.at))
    return bet if len(kept) == len(bet.versions) else replace(bet, versions=kept)


def natural_day(config: SimConfig, agent: LuckoAgent, people: tuple[User, ...], day: int) -> tuple[Bet, ...]:
    """The bets placed on UTC day number `day`, clipped to the activity."""
    start = day * DAY
    if not (config.activity_from or 0) < start + DAY or not config.active(max(start, config.activity_from or 0)):
        return ()
    random = dice(config.seed, "lucko", agent.agent_id, "bets", day)
    bets: list[Bet] = []
    for hour, pace in enumerate(_PACE):
        for n, bet_time in enumerate(_instants(random, agent, start + hour * HOUR, pace)):
            user = random.choice(people)
            currency = user.currencies[-1] if random.random() < 0.2 else user.currencies[0]
            bet = new_bet(
                random,
                user_id=user.user_id,
                currency=currency,
                bet_time=bet_time,
                quiet=n < 2,
                hostile=agent.hostile_ids,
            )
            inside = clipped(bet, config)
            if inside is not None:
                bets.append(inside)
    return tuple(bets)
