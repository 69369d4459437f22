"""The judge of the simulated world: which rebates are wrong, and why, computed from the rows as served.

It reads rebate rows and bet rows alone and knows nothing of what was planted, so the plants can be checked
against it. Reasons: `turnover`, `amount`, `missing_bet`, `voided_bet`, `foreign_bet`, `reused_bet`,
`wallet_txn_missing`, `wallet_txn_reused`, `paid_twice`, `unsettled_bet`. Tolerance 0, money exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from simulator.world.lucko import LuckoWorld

Row = dict[str, Any]
BetLookup = Callable[[str], Row | None]

DAY = 86_400_000
UNSETTLED_AFTER = 14 * DAY
CONTEXT = 2 * DAY
"""Rebates this much older are read too: a bet, a wallet id or a payment may be used a second time."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A wrong rebate: why, and by how much it overpaid (negative: underpaid)."""

    rebate: Row
    reasons: frozenset[str]
    overpaid: Decimal


@dataclass(kw_only=True)
class _Memory:
    """What earlier successful rebates have used."""

    bets: set[tuple[str, str]] = field(default_factory=set)
    wallets: set[str] = field(default_factory=set)
    payments: set[tuple[Any, ...]] = field(default_factory=set)


def _rounded(turnover: Decimal, rate: str) -> Decimal:
    exact = turnover * Decimal(rate) * Decimal("0.01")
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)  # half up on magnitude: half away from zero


def _same_money(rebate: Row, bet: Row) -> bool:
    return bool(bet["currency"] == rebate["currency"])


def _bet_reasons(rebate: Row, bet: Row | None, as_of: int) -> set[str]:
    if bet is None:
        return {"missing_bet"}
    reasons = set()
    if bet["status"] not in (0, 1):
        reasons.add("voided_bet")
    if bet["status"] == 0 and as_of - bet["bet_time"] > UNSETTLED_AFTER:
        reasons.add("unsettled_bet")
    if bet["user_id"] != rebate["user_id"] or not _same_money(rebate, bet):
        reasons.add("foreign_bet")
    return reasons


def _money_reasons(rebate: Row, bets: dict[str, Row | None]) -> set[str]:
    reasons = set()
    turnover = Decimal(rebate["turnover"])
    known = [bet for bet in bets.values() if bet is not None and _same_money(rebate, bet)]
    settled = sum((Decimal(bet["valid_bet_turnover"]) for bet in known if bet["status"] == 1), Decimal(0))
    undecided = any(bet["status"] == 0 for bet in known)
    if turnover != settled and not undecided:
        reasons.add("turnover")
    if Decimal(rebate["rebate_amount"]) != _rounded(turnover, rebate["rate"]):
        reasons.add("amount")
    return reasons


def _payment(rebate: Row) -> tuple[Any, ...]:
    keys = ("activity_id", "user_id", "date", "currency")
    return (*(rebate[key] for key in keys), frozenset(rebate["txn_ids"]))


def _repeat_reasons(rebate: Row, bets: Iterable[str], memory: _Memory) -> set[str]:
    reasons = set()
    wallet = rebate.get("wallet_txn_id")
    if not wallet:
        reasons.add("wallet_txn_missing")
    elif wallet in memory.wallets:
        reasons.add("wallet_txn_reused")
    if any((rebate["activity_id"], bet_id) in memory.bets for bet_id in bets):
        reasons.add("reused_bet")
    if len(rebate["txn_ids"]) != len(set(rebate["txn_ids"])):
        reasons.add("reused_bet")
    if _payment(rebate) in memory.payments:
        reasons.add("paid_twice")
    return reasons


def _entitled(rebate: Row, bets: dict[str, Row | None], memory: _Memory) -> Decimal:
    if _payment(rebate) in memory.payments:
        return Decimal(0)
    turnover = Decimal(0)
    for bet_id, bet in bets.items():
        claimed = (rebate["activity_id"], bet_id) in memory.bets
        if bet is None or claimed or bet["status"] != 1 or bet["user_id"] != rebate["user_id"]:
            continue
        if _same_money(rebate, bet):
            turnover += Decimal(bet["valid_bet_turnover"])
    return _rounded(turnover, rebate["rate"])


def judge(rebates: Iterable[Row], lookup: BetLookup, *, as_of: int) -> list[Finding]:
    """The wrong ones of `rebates` (given by (create_time, id)); failed rebates are not judged.

    `lookup` gives a bet's row as of `as_of` (ms). A turnover that hangs on an unsettled bet is not called
    wrong.
    """
    memory = _Memory()
    findings = []
    for rebate in rebates:
        if rebate["status"] != 1:
            continue
        bets = {bet_id: lookup(bet_id) for bet_id in rebate["txn_ids"]}
        reasons = _money_reasons(rebate, bets) | _repeat_reasons(rebate, bets, memory)
        for bet in bets.values():
            reasons |= _bet_reasons(rebate, bet, as_of)
        if reasons:
            overpaid = Decimal(rebate["rebate_amount"]) - _entitled(rebate, bets, memory)
            findings.append(Finding(rebate=rebate, reasons=frozenset(reasons), overpaid=overpaid))
        memory.bets |= {(rebate["activity_id"], bet_id) for bet_id in bets}
        memory.wallets |= {rebate["wallet_txn_id"]} if rebate.get("wallet_txn_id") else set()
        memory.payments.add(_payment(rebate))
    return findings


def breaks(world: LuckoWorld, start: int, end: int) -> list[Row]:
    """The wrong rebates with create_time in [start, end), judged on the world's state as of `end` (ms).

    `kind` is what was planted, or `changed` where changes on demand broke a right rebate (None would be an error of
    the world); all else comes from the judge.
    """
    dispatched = world.dispatched(start - CONTEXT, end, as_of=end)
    kinds = {rebate.id: rebate.kind or ("changed" if world.was_changed(rebate) else None) for rebate in dispatched}
    rows = [rebate.row() for rebate in dispatched]
    found = judge(rows, lambda bet_id: world.bet(bet_id, as_of=end), as_of=end)
    return [
        {
            "rebate_id": one.rebate["id"],
            "user_id": one.rebate["user_id"],
            "date": one.rebate["date"],
            "currency": one.rebate["currency"],
            "create_time": one.rebate["create_time"],
            "kind": kinds[one.rebate["id"]],
            "reasons": sorted(one.reasons),
            "turnover": one.rebate["turnover"],
            "rebate_amount": one.rebate["rebate_amount"],
            "overpaid": f"{one.overpaid:.2f}",
        }
        for one in found
        if one.rebate["create_time"] >= start
    ]
