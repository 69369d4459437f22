"""What may happen to Lucko bets after the fact, bet by bet; kinds as in `simulator.world.change`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

from simulator.world.bets import SETTLED, Bet, Version
from simulator.world.chance import cents
from simulator.world.games import BY_ID
from simulator.world.lucko_bets import User, new_bet, voided


def _resettled(bet: Bet, shown: Version, at: int, random: Random) -> Version:
    outcome = BY_ID[bet.game_id].settle(random, bet.stakes, bet.no_comm)
    turnover = outcome.turnover
    if (turnover, outcome.win) == (shown.turnover, shown.win) or random.random() < 0.5:
        # A redrawn result alone often leaves the turnover as it was, and rebates hang on that.
        least = cents(bet.amount / 10)
        turnover = least if shown.turnover != least else Decimal(0)
    return replace(
        shown,
        at=at,
        update_time=at,
        turnover=turnover,
        win=outcome.win,
        wins=outcome.wins,
        result=outcome.result,
        cards=outcome.cards,
    )


def _resettled_quietly(bet: Bet, shown: Version, at: int, random: Random) -> Version:
    return replace(_resettled(bet, shown, at, random), update_time=shown.update_time)


def _voided(bet: Bet, shown: Version, at: int, random: Random) -> Version:
    return voided(shown, amount=bet.amount, at=at, keep_turnover=random.random() < 0.5)


OF_A_BET: dict[str, Callable[[Bet, Version, int, Random], Version]] = {
    "resettled": _resettled,
    "resettled_quietly": _resettled_quietly,
    "voided": _voided,
}
"""The kinds that give a settled bet one more version."""


def changed(bet: Bet, shown: Version, *, kind: str, at: int, random: Random) -> Bet:
    """`bet` with one more version, to be seen from `at` on."""
    return bet.with_version(OF_A_BET[kind](bet, shown, at, random))


def late_bet(random: Random, *, people: Sequence[User], bet_time: int, at: int, kind: str, hostile: bool) -> Bet:
    """A settled bet placed at `bet_time` that shows only from `at` on.

    With `late` its update_time is `at`; with `late_in_range` that of the bet, as if it had always been there.
    """
    user = random.choice(people)
    while True:
        bet = new_bet(
            random, user_id=user.user_id, currency=user.currencies[0], bet_time=bet_time, quiet=True, hostile=hostile
        )
        last = bet.versions[-1]
        if last.status == SETTLED:
            break
    update = at if kind == "late" else bet_time
    only = replace(last, at=at, update_time=update, settle_time=min(last.settle_time, at))
    return replace(bet, versions=(only,))
