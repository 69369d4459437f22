"""The registry of planted breaks: each kind, the reasons it must cause, and how it bends a right rebate.

A further kind is one function and one entry in KINDS. A plant may bend the rebate, correct linked bets after
the dispatch, or add bets; the judge (`simulator.truth`) never looks here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from simulator.world.bets import CANCELLED, INVALID, PLACED, Bet, Version
from simulator.world.chance import CENT, DAY, HOUR, MINUTE, SECOND, cents, digits
from simulator.world.lucko_bets import ended_unplayed, new_bet, voided

RATES = ("0.5", "1", "1.25", "2")
"""Rates in per cent, as the provider writes them."""

AFTER_FROM, AFTER_UNTIL = HOUR, HOUR + 50 * MINUTE
"""Corrections after the dispatch happen this long after the end of the settlement day."""

LEAST_TURNOVER = Decimal(10)
"""Smaller rebates are left alone: on cents, some plants would change nothing."""


def rebate_amount(turnover: Decimal, rate: str) -> Decimal:
    """What the provider pays: turnover x rate x 0.01, half away from zero, 2 decimals."""
    return cents(turnover * Decimal(rate) * Decimal("0.01"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A rebate before it is dispatched, with what a plant does around it. `day` is the settlement day's
    number.
    """

    user_id: str
    currency: str
    day: int
    rate: str
    turnover: Decimal
    amount: Decimal
    txn_ids: tuple[str, ...]
    linked: tuple[tuple[Bet, Version], ...]
    corrections: tuple[tuple[str, Version], ...] = ()
    extra_bets: tuple[Bet, ...] = ()

    def paying(self, turnover: Decimal) -> Draft:
        """The draft with another turnover and the amount that follows from it."""
        return replace(self, turnover=turnover, amount=rebate_amount(turnover, self.rate))


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of break: its name, exactly the reasons a judge must find, and the bending."""

    name: str
    reasons: frozenset[str]
    plant: Callable[[Draft, Random], Draft]


def _share(draft: Draft, random: Random) -> Decimal:
    return max(CENT, cents(draft.turnover * random.randrange(1, 20) / 100))


def _overstated(draft: Draft, random: Random) -> Draft:
    return draft.paying(draft.turnover + _share(draft, random))


def _understated(draft: Draft, random: Random) -> Draft:
    return draft.paying(draft.turnover - _share(draft, random))


def _cent_off(draft: Draft, random: Random) -> Draft:
    down = draft.amount > CENT and random.random() < 0.5
    return replace(draft, amount=draft.amount - CENT if down else draft.amount + CENT)


def _wrong_rate(draft: Draft, random: Random) -> Draft:
    other = random.choice([rate for rate in RATES if rate != draft.rate])
    return replace(draft, amount=rebate_amount(draft.turnover, other))


def _with_phantom(draft: Draft, random: Random) -> Draft:
    second = (draft.day * DAY + random.randrange(DAY)) // SECOND
    ids = list(draft.txn_ids)
    ids.insert(random.randrange(len(ids) + 1), f"{second:08x}{digits(random, 16)}")
    return replace(draft, txn_ids=tuple(ids))


def _missing_bet(draft: Draft, random: Random) -> Draft:
    stake = Decimal(random.randrange(1000, 50_000)).scaleb(-2)
    return _with_phantom(draft, random).paying(draft.turnover + stake)


def _after(draft: Draft, random: Random) -> int:
    return (draft.day + 1) * DAY + random.randrange(AFTER_FROM, AFTER_UNTIL)


def _counting(draft: Draft, random: Random) -> tuple[Bet, Version]:
    return random.choice([(bet, shown) for bet, shown in draft.linked if shown.turnover > CENT])


def _voided_later(draft: Draft, random: Random) -> Draft:
    bet, shown = _counting(draft, random)
    keep = random.random() < 0.5
    change = voided(shown, amount=bet.amount, at=_after(draft, random), keep_turnover=keep)
    return replace(draft, corrections=((bet.id, change),))


def _restated_later(draft: Draft, random: Random) -> Draft:
    bet, shown = _counting(draft, random)
    at = _after(draft, random)
    change = replace(shown, at=at, update_time=at, turnover=cents(shown.turnover / 2))
    return replace(draft, corrections=((bet.id, change),))


def _cancelled_linked(draft: Draft, random: Random) -> Draft:
    moment = random.choice(draft.linked)[0].bet_time
    drawn = new_bet(random, user_id=draft.user_id, currency=draft.currency, bet_time=moment)
    end = moment + random.randrange(SECOND, 6 * SECOND)
    placed = Version(at=moment, update_time=moment, status=PLACED)
    status = random.choice((CANCELLED, INVALID))
    bet = replace(drawn, versions=(placed, ended_unplayed(at=end, status=status, amount=drawn.amount)))
    return replace(draft, txn_ids=(*draft.txn_ids, bet.id), extra_bets=(bet,))


def _kind(name: str, reasons: str, plant: Callable[[Draft, Random], Draft]) -> Kind:
    return Kind(name=name, reasons=frozenset(reasons.split()), plant=plant)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind("turnover_overstated", "turnover", _overstated),
        _kind("turnover_understated", "turnover", _understated),
        _kind("amount_off_by_a_cent", "amount", _cent_off),
        _kind("amount_wrong_rate", "amount", _wrong_rate),
        _kind("missing_bet", "missing_bet turnover", _missing_bet),
        _kind("missing_bet_without_turnover", "missing_bet", _with_phantom),
        _kind("voided_after_rebate", "voided_bet turnover", _voided_later),
        _kind("cancelled_bet_linked", "voided_bet", _cancelled_linked),
        _kind("restated_after_rebate", "turnover", _restated_later),
    )
}


def plantable(draft: Draft) -> bool:
    """True when every kind would truly break this rebate."""
    return draft.turnover >= LEAST_TURNOVER and any(shown.turnover > CENT for _, shown in draft.linked)


def choose(drafts: list[Draft], random: Random, *, share: float) -> dict[int, Kind]:
    """Which draft (by position) gets which kind: about `share` of all, from 20 on each kind once."""
    if share == 0:
        return {}
    hosts = [n for n, draft in enumerate(drafts) if plantable(draft)]
    random.shuffle(hosts)
    wanted = round(len(drafts) * share)
    if len(drafts) >= 20:
        wanted = max(wanted, len(KINDS))
    kinds = list(KINDS.values())
    random.shuffle(kinds)
    listed = kinds + [random.choice(kinds) for _ in range(max(0, wanted - len(kinds)))]
    return dict(zip(hosts, listed[:wanted], strict=False))
