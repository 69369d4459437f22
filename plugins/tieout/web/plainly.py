"""What a break's page says in plain words: the reasons of breaks, what their components are part of, and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tieout.web.warehouse import Row

#: How many components a table shows unless all are asked for.
SHOWN = 40

#: What a rebate with a break of this reason does: the words of the README.
REASONS = {
    "turnover": "states another turnover than its settled bets add up to",
    "amount": "is not turnover × rate, rounded",
    "missing_bet": "names a bet that the provider does not report",
    "voided_bet": "names a bet that was cancelled or voided",
    "foreign_bet": "names a bet of another user or currency",
    "reused_bet": "names a bet twice, or one that an earlier rebate of the activity has named",
    "unsettled_bet": "names a bet that was not settled within 14 days",
    "wallet_txn_missing": "was paid without a wallet transaction",
    "wallet_txn_reused": "was paid with the wallet transaction of another rebate",
    "paid_twice": "repeats an earlier rebate: activity, user, date, currency and bets",
}
#: What components add up to, by ``of``.
PARTS = {
    "difference": "Stated turnover beyond that of its settled bets",
    "entitlement": "Stated turnover beyond what entitles to a rebate",
}
#: What a component rests on.
EVIDENCE = {
    "observed": "seen in the rows the provider reports",
    "presumed": "presumed: it would account for this, and nothing proves it",
    "none": "nothing explains it",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """The components that add up to one thing: those ``shown``, and of the rest how many there are and their sum."""

    of: str
    shown: Sequence[Row]
    rest: int
    rest_sum: Decimal


def parts(components: Sequence[Row], *, everything: bool) -> list[Part]:
    """Return the components by what they add up to, the largest of each unless *everything* is asked for."""
    found = []
    for of in sorted({row["of"] for row in components}):
        rows = [row for row in components if row["of"] == of]
        largest = sorted(rows, key=lambda row: -abs(row["amount"]))
        kept = {id(row) for row in (largest if everything else largest[:SHOWN])}
        rest = [row["amount"] for row in rows if id(row) not in kept]
        shown = [row for row in rows if id(row) in kept]
        found.append(Part(of=of, shown=shown, rest=len(rest), rest_sum=sum(rest, Decimal(0))))
    return found
