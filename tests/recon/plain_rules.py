"""The rules of reconciliation in plain Python, for worlds in which everything was read: money, flags and components.

It knows nothing of the SQL: it takes states of bets as they were read and rebates as they were served.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

ZERO = Decimal(0)
Components = dict[tuple[str, str], tuple[Decimal, str, bool]]


@dataclass(frozen=True, kw_only=True)
class State:
    """A bet as it was read at ``pulled``; ``changed`` is the later of its update and settle time."""

    user: str
    currency: str
    status: int
    turnover: Decimal
    stake: Decimal
    changed: datetime
    pulled: datetime


@dataclass(frozen=True, kw_only=True)
class Paid:
    """A rebate; ``bets`` as served, repetitions included."""

    id: str
    user: str
    currency: str
    activity: str
    day: datetime
    turnover: Decimal
    rate: Decimal
    amount: Decimal
    status: int
    created: datetime
    bets: tuple[str, ...]
    wallet: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the rules say of a rebate."""

    verdict: str
    reasons: frozenset[str]
    difference: Decimal
    entitled_turnover: Decimal
    overpaid: Decimal
    of_difference: Components
    of_entitlement: Components


def rounded(amount: Decimal) -> Decimal:
    """Round to cents, halves away from zero."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def as_of(history: Sequence[State], moment: datetime) -> State | None:
    """Return the state in force at *moment*, of states in the order they were read."""
    found, previous = None, None
    for state in history:
        since = state.changed if previous is None or state.changed > previous else state.pulled
        previous = since
        if since <= moment:
            found = state
    return found


def counted(state: State | None, rebate: Paid) -> Decimal:
    """Return what a bet adds to the turnover of a rebate's bets."""
    settled = state is not None and state.status == 1 and state.currency == rebate.currency
    return state.turnover if settled and state else ZERO


def judge(rebate: Paid, rebates: Iterable[Paid], histories: Mapping[str, Sequence[State]]) -> Found:
    """Judge one of *rebates* by the bets' states, all of them read, tolerance 0."""
    before = [one for one in rebates if one.status and (one.created, one.id) < (rebate.created, rebate.id)]
    linked = sorted(set(rebate.bets))
    now = {bet_id: histories[bet_id][-1] for bet_id in linked if bet_id in histories}
    claimed = {bet_id for one in before if one.activity == rebate.activity for bet_id in one.bets}
    difference = rebate.turnover - sum((counted(state, rebate) for state in now.values()), ZERO)
    entitled_turnover = sum(
        (
            counted(state, rebate)
            for bet_id, state in now.items()
            if bet_id not in claimed and state.user == rebate.user
        ),
        ZERO,
    )  # fmt: skip
    reasons = _reasons(rebate, before, linked, now, claimed)
    undecided = any(state.status == 0 and state.currency == rebate.currency for state in now.values())
    missing = [bet_id for bet_id in linked if bet_id not in now]
    # Everything was read: what is missing stays missing whatever becomes of an unsettled bet, the sum does not.
    reasons |= {"missing_bet"} if missing else set()
    if difference and not undecided:
        reasons.add("turnover")
    verdict = "failed" if not rebate.status else "break" if reasons else "pending" if undecided else "matched"
    parts = _components(rebate, difference, now, histories, missing) if verdict == "break" else {}
    whole = _entitlement(rebate, parts, now, claimed) if verdict == "break" else {}
    overpaid = rebate.amount - rounded(entitled_turnover * rebate.rate / 100)
    return Found(
        verdict=verdict,
        reasons=frozenset(reasons) if verdict == "break" else frozenset(),
        difference=difference,
        entitled_turnover=entitled_turnover,
        overpaid=overpaid,
        of_difference=parts,
        of_entitlement=whole,
    )


def _reasons(
    rebate: Paid, before: list[Paid], linked: list[str], now: Mapping[str, State], claimed: set[str]
) -> set[str]:  # fmt: skip
    def payment(one: Paid) -> tuple[object, ...]:
        return one.activity, one.user, one.day, one.currency, frozenset(one.bets)

    tests = {
        "amount": rebate.amount != rounded(rebate.turnover * rebate.rate / 100),
        "voided_bet": any(state.status not in (0, 1) for state in now.values()),
        "foreign_bet": any((one.user, one.currency) != (rebate.user, rebate.currency) for one in now.values()),
        "reused_bet": len(linked) < len(rebate.bets) or bool(claimed & set(linked)),
        "wallet_txn_missing": not rebate.wallet,
        "wallet_txn_reused": bool(rebate.wallet) and any(one.wallet == rebate.wallet for one in before),
        "paid_twice": any(payment(one) == payment(rebate) for one in before),
    }
    return {reason for reason, holds in tests.items() if holds}


def _components(
    rebate: Paid, difference: Decimal, now: Mapping[str, State], histories: Mapping[str, Sequence[State]],
    missing: list[str],
) -> Components:  # fmt: skip
    found: Components = {}
    remainder = difference
    for bet_id, state in now.items():
        then = as_of(histories[bet_id], rebate.created)
        amount = counted(then, rebate) - counted(state, rebate)
        if then is not None and amount:
            found["restated" if state.status in (0, 1) else "voided", bet_id] = (amount, "observed", True)
            remainder -= amount
    for kind, bet_id, amount in _candidates(rebate, now, histories):
        if (("voided", bet_id) not in found or kind != "voided") and abs(remainder - amount) < abs(remainder):
            found[kind, bet_id] = (amount, "presumed", False)
            remainder -= amount
    if remainder:
        kind, evidence = ("missing", "presumed") if missing else ("unexplained", "none")
        found[kind, missing[0] if len(missing) == 1 else ""] = (remainder, evidence, False)
    return found


def _candidates(
    rebate: Paid, now: Mapping[str, State], histories: Mapping[str, Sequence[State]]
) -> Iterable[tuple[str, str, Decimal]]:
    for bet_id, state in now.items():
        if state.status not in (0, 1) and state.currency == rebate.currency:
            settled = [past.turnover for past in histories[bet_id] if past.status == 1]
            yield "voided", bet_id, settled[-1] if settled else state.turnover or state.stake
    for bet_id, state in now.items():
        if state.status == 1 and state.currency != rebate.currency:
            yield "foreign", bet_id, state.turnover
        elif state.status == 1 and state.user != rebate.user:
            yield "foreign", bet_id, -state.turnover


def _entitlement(rebate: Paid, parts: Components, now: Mapping[str, State], claimed: set[str]) -> Components:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    notes: dict[tuple[str, str], tuple[str, bool]] = {}
    for key, (amount, evidence, is_fact) in parts.items():
        sums[key] += amount
        notes[key] = evidence, is_fact
    for bet_id, state in now.items():
        key = ("reused" if state.user == rebate.user else "foreign", bet_id)
        if counted(state, rebate) and (bet_id in claimed or state.user != rebate.user):
            sums[key] += counted(state, rebate)
            notes.setdefault(key, ("observed", True))
    return {key: (amount, *notes[key]) for key, amount in sums.items() if amount}
