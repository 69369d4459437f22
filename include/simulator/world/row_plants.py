"""Breaks planted into rows as served: kinds that concern several rebates at once, and any of them together.

Where `simulator.world.plants` bends a rebate before it is dispatched, this bends the rows of a whole answer: it can
pay twice, use a wallet transaction or a bet again, or name another user's bet. The judge (`simulator.truth`) reads the
bent rows and knows nothing of this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from simulator.world.chance import DAY, HOUR, SECOND, digits
from simulator.world.plants import rebate_amount

Row = dict[str, Any]


@dataclass(kw_only=True)
class Rows:
    """The rows being bent. `planted`: kinds by rebate id; `as_of` (ms) is when they will be judged."""

    rebates: list[Row]
    bets: list[Row]
    as_of: int
    random: Random
    planted: dict[str, set[str]] = field(default_factory=dict)

    def earlier(self, rebate: Row) -> Row | None:
        """A successful rebate before this one that names bets, drawn from the ten nearest."""
        key = (rebate["create_time"], rebate["id"])
        before = [
            other
            for other in self.rebates
            if other["status"] == 1 and other["txn_ids"] and (other["create_time"], other["id"]) < key
        ]
        return self.random.choice(before[-10:]) if before else None

    def copy_of_a_bet(self, rebate: Row, **changes: Any) -> Row | None:
        """Add a copy, with changes, of a settled bet that the rebate names."""
        named = set(rebate["txn_ids"])
        settled = [bet for bet in self.bets if bet["id"] in named and bet["status"] == 1]
        if not settled:
            return None
        copy = self.random.choice(settled) | {"id": self.new_id(rebate["create_time"])} | changes
        self.bets.append(copy)
        rebate["txn_ids"] = [*rebate["txn_ids"], copy["id"]]
        return copy

    def new_id(self, at: int) -> str:
        """An id of the provider's shape."""
        return f"{at // SECOND:08x}{digits(self.random, 16)}"


def _pay(rebate: Row, turnover: Decimal) -> None:
    rebate["turnover"] = str(turnover)
    rebate["rebate_amount"] = f"{rebate_amount(turnover, rebate['rate']):.2f}"


def _of_another_user(rows: Rows, rebate: Row) -> bool:
    bet = rows.copy_of_a_bet(rebate, user_id="stranger")
    if bet is not None:
        _pay(rebate, Decimal(rebate["turnover"]) + Decimal(bet["valid_bet_turnover"]))
    return bet is not None


def _of_another_user_left_out(rows: Rows, rebate: Row) -> bool:
    return rows.copy_of_a_bet(rebate, user_id="stranger") is not None


def _in_another_currency(rows: Rows, rebate: Row) -> bool:
    return rows.copy_of_a_bet(rebate, currency="XTS") is not None


def _named_twice(rows: Rows, rebate: Row) -> bool:
    rebate["txn_ids"] = [*rebate["txn_ids"], rows.random.choice(rebate["txn_ids"])]
    return True


def _claimed_before(rows: Rows, rebate: Row) -> bool:
    other = rows.earlier(rebate)
    if other is None:
        return False
    rebate["txn_ids"] = [*rebate["txn_ids"], rows.random.choice(other["txn_ids"])]
    return True


def _without_wallet(rows: Rows, rebate: Row) -> bool:
    rebate.pop("wallet_txn_id", None)
    return True


def _with_empty_wallet(rows: Rows, rebate: Row) -> bool:
    rebate["wallet_txn_id"] = ""
    return True


def _with_used_wallet(rows: Rows, rebate: Row) -> bool:
    other = rows.earlier(rebate)
    if other is None or not other.get("wallet_txn_id"):
        return False
    rebate["wallet_txn_id"] = other["wallet_txn_id"]
    return True


def _paid_again(rows: Rows, rebate: Row) -> bool:
    at = rebate["create_time"] + 1
    again = rebate | {"id": rows.new_id(at), "wallet_txn_id": rows.new_id(at), "create_time": at}
    rows.rebates.append(again)
    rows.rebates.sort(key=lambda row: (row["create_time"], row["id"]))
    rows.planted.setdefault(again["id"], set()).add("paid_again")
    return False


def _never_settled(rows: Rows, rebate: Row) -> bool:
    placed = rows.as_of - 14 * DAY - rows.random.randrange(HOUR, DAY)
    changes = {"bet_time": placed, "update_time": placed, "settle_time": 0, "status": 0, "valid_bet_turnover": "0"}
    return rows.copy_of_a_bet(rebate, **changes) is not None


KINDS: dict[str, Callable[[Rows, Row], bool]] = {
    "of_another_user": _of_another_user,
    "of_another_user_left_out": _of_another_user_left_out,
    "in_another_currency": _in_another_currency,
    "named_twice": _named_twice,
    "claimed_before": _claimed_before,
    "without_wallet": _without_wallet,
    "with_empty_wallet": _with_empty_wallet,
    "with_used_wallet": _with_used_wallet,
    "paid_again": _paid_again,
    "never_settled": _never_settled,
}
"""Each kind bends one rebate and says whether it did; `paid_again` plants into the second payment it adds."""


def bend(rows: Rows, *, share: float) -> None:
    """Plant into about `share` of the successful rebates that name bets: each kind at least once, often two at once."""
    hosts = [row for row in rows.rebates if row["status"] == 1 and row["txn_ids"]]
    rows.random.shuffle(hosts)
    names = list(KINDS)
    for number, rebate in enumerate(hosts[: max(len(names), round(len(hosts) * share))]):
        chosen = {names[number % len(names)], *rows.random.sample(names, rows.random.randrange(3))}
        # A second payment repeats the first as it is when all else was done to it.
        for name in sorted(chosen, key=lambda one: (one == "paid_again", one)):
            if KINDS[name](rows, rebate):
                rows.planted.setdefault(rebate["id"], set()).add(name)
