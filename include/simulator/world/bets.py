"""A Lucko bet as a history: what its row showed from which instant on.

The row of a bet at any instant is its newest version with `at` ≤ that instant, so the world can be served as
of now and judged as of any other time. Field names and codes: provider document 'Query Bet Records (By Time
Period)'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

PLACED, SETTLED, CANCELLED, INVALID, VOIDED = 0, 1, 2, 3, 4
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One state of a bet, shown from `at` (ms) until the next. The provider filters on `update_time`."""

    at: int
    update_time: int
    status: int
    settle_time: int = 0
    turnover: Decimal = ZERO
    win: Decimal = ZERO
    wins: tuple[tuple[str, Decimal], ...] = ()
    result: tuple[str, ...] = ()
    cards: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bet:
    """One bet: what never changes, and its versions in order of `at`."""

    id: str
    user_id: str
    game_id: str
    table: str
    shoe: int
    round: int
    bet_time: int
    currency: str
    amount: Decimal
    stakes: tuple[tuple[str, Decimal], ...]
    no_comm: bool
    versions: tuple[Version, ...]

    def index_at(self, instant: int) -> int | None:
        """The position of the version shown at `instant`, None before the bet exists."""
        shown = None
        for n, version in enumerate(self.versions):
            if version.at > instant:
                break
            shown = n
        return shown

    def at(self, instant: int) -> Version | None:
        """The version shown at `instant`, None before the bet exists."""
        index = self.index_at(instant)
        return None if index is None else self.versions[index]

    def with_version(self, version: Version) -> Bet:
        """The bet with one more version, put where its instant belongs."""
        ordered = sorted((*self.versions, version), key=lambda one: one.at)
        return replace(self, versions=tuple(ordered))


def plain(amount: Decimal) -> str:
    """Bet amounts as the provider writes them: "100", else two decimals."""
    return str(int(amount)) if amount == amount.to_integral_value() else f"{amount:.2f}"


def _number(amount: Decimal) -> int | Decimal:
    return int(amount) if amount == amount.to_integral_value() else amount


def bet_row(bet: Bet, version: Version) -> dict[str, Any]:
    """The row the provider serves for `bet` while `version` is shown."""
    settled = version.status != PLACED
    return {
        "id": bet.id,
        "user_id": bet.user_id,
        "game_id": bet.game_id,
        "inst_id": bet.table,
        "shoe_id": bet.shoe,
        "round_id": bet.round,
        "bet_time": bet.bet_time,
        "settle_time": version.settle_time,
        "bet_amount": plain(bet.amount),
        "real_bet_amount": plain(bet.amount),
        "valid_bet_turnover": plain(version.turnover),
        "win_amount": f"{version.win:.2f}",
        "real_win_amount": f"{version.win - bet.amount if settled else ZERO:.2f}",
        "currency": bet.currency,
        "bet_detail": {item: _number(stake) for item, stake in bet.stakes},
        "win_detail": {item: f"{won:.2f}" for item, won in version.wins},
        "no_comm": bet.no_comm,
        "game_result": list(version.result),
        "open_cards": dict(version.cards),
        "create_time": bet.bet_time,
        "update_time": version.update_time,
        "status": version.status,
    }
