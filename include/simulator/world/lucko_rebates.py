"""The rebates of one Lucko settlement day, and the breaks planted among them.

One rebate per user and currency with all settled bets of the UTC day of their settle_time, dispatched in the
first hour of the next day. Shape and codes: provider document 'Query Rebate Records (Reconciliation
Statement)'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

from simulator.agents import LuckoAgent
from simulator.config import SimConfig
from simulator.world.bets import SETTLED, ZERO, Bet, Version
from simulator.world.chance import DAY, dice, digits
from simulator.world.lucko_bets import DISPATCH_FROM, DISPATCH_UNTIL
from simulator.world.plants import RATES, Draft, Kind, choose, rebate_amount
from simulator.world.texts import marked

IDLE_USERS = ("idle001", "idle002", "idle003")
"""Users who never bet, yet now and then receive an empty rebate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebate:
    """One dispatched rebate; `kind` and `breaks_at` (ms) say what was planted and since when it shows.

    A late one appears at `late_until` only; a failed one may succeed at `recovers_at` (ms).
    """

    id: str
    activity_id: str
    user_id: str
    date: int
    currency: str
    turnover: str
    rate: str
    amount: Decimal
    wallet_txn_id: str
    status: int
    create_time: int
    txn_ids: tuple[str, ...]
    kind: str | None = None
    breaks_at: int | None = None
    late_until: int | None = None
    recovers_at: int | None = None

    @property
    def appears_at(self) -> int:
        """The instant (ms) since which the provider reports it."""
        return self.create_time if self.late_until is None else self.late_until

    def shown(self, as_of: int) -> Rebate:
        """The rebate with the status it shows at `as_of`."""
        recovered = self.recovers_at is not None and self.recovers_at <= as_of
        return replace(self, status=1) if recovered else self

    def row(self) -> dict[str, Any]:
        """The row the provider serves; a failed rebate has no wallet transaction."""
        head = {
            "id": self.id,
            "activity_id": self.activity_id,
            "user_id": self.user_id,
            "date": self.date,
            "currency": self.currency,
            "turnover": self.turnover,
            "rate": self.rate,
            "rebate_amount": f"{self.amount:.2f}",
        }
        wallet = {"wallet_txn_id": self.wallet_txn_id} if self.status else {}
        tail = {"status": self.status, "create_time": self.create_time, "txn_ids": list(self.txn_ids)}
        return head | wallet | tail


@dataclass(frozen=True, kw_only=True, slots=True)
class DayPlan:
    """The rebates of a settlement day by (create_time, id), and what plants do to bets: later versions, extra
    bets.
    """

    rebates: tuple[Rebate, ...] = ()
    corrections: tuple[tuple[str, Version], ...] = ()
    extra_bets: tuple[Bet, ...] = ()


def _drafts(
    config: SimConfig, agent: LuckoAgent, day: int, bets: Iterable[Bet], times: Iterable[int]
) -> list[tuple[int, Draft]]:
    """(create_time, draft) per user and currency, right as of its dispatch."""
    groups: dict[tuple[str, str], list[tuple[Bet, Version]]] = {}
    for bet in bets:
        # Natural versions end before the first dispatch, so the last one is the state at any dispatch.
        shown = bet.versions[-1]
        if shown.status == SETTLED and shown.settle_time // DAY == day:
            groups.setdefault((bet.user_id, bet.currency), []).append((bet, shown))
    drafts = []
    for ((user, currency), linked), create_time in zip(sorted(groups.items()), times, strict=False):
        turnover = sum((shown.turnover for _, shown in linked), ZERO)
        rate = RATES[dice(config.seed, agent.agent_id, "rate", user).randrange(len(RATES))]
        draft = Draft(
            user_id=user,
            currency=currency,
            day=day,
            rate=rate,
            turnover=turnover,
            amount=rebate_amount(turnover, rate),
            txn_ids=tuple(bet.id for bet, _ in linked),
            linked=tuple(linked),
        )
        drafts.append((create_time, draft))
    return drafts


def _dispatch_times(random: Random, day: int) -> Iterable[int]:
    """Endless dispatch instants; the first two are the first and the last millisecond, to test readers'
    edges.
    """
    end = (day + 1) * DAY
    yield end + DISPATCH_FROM
    yield end + DISPATCH_UNTIL - 1
    while True:
        yield end + random.randrange(DISPATCH_FROM, DISPATCH_UNTIL)


def _ids(random: Random, config: SimConfig, agent: LuckoAgent, create_time: int) -> dict[str, Any]:
    activity = dice(config.seed, agent.agent_id, "activity").getrandbits(96)
    plain = f"{create_time // 1000:08x}{digits(random, 16)}"
    return {
        "id": marked(plain) if agent.hostile_ids else plain,
        "activity_id": f"{activity:024x}",
        "wallet_txn_id": f"{create_time // 1000:08x}{digits(random, 16)}",
        "create_time": create_time,
    }


def _dispatch(draft: Draft, *, kind: Kind | None, failed: bool, ids: dict[str, Any]) -> Rebate:
    late = max((version.at for _, version in draft.corrections), default=None)
    return Rebate(
        **ids,
        user_id=draft.user_id,
        date=draft.day * DAY,
        currency=draft.currency,
        turnover=f"{draft.turnover:.2f}",
        rate=draft.rate,
        amount=draft.amount,
        status=0 if failed else 1,
        txn_ids=draft.txn_ids,
        kind=kind.name if kind else None,
        breaks_at=None if kind is None else late or ids["create_time"],
    )


def _empty(user: str, *, day: int, ids: dict[str, Any]) -> Rebate:
    return Rebate(
        **ids,
        user_id=user,
        date=day * DAY,
        currency="USD",
        turnover="0",
        rate="1",
        amount=ZERO,
        status=1,
        txn_ids=(),
    )


def plan_day(config: SimConfig, agent: LuckoAgent, day: int, bets: Iterable[Bet]) -> DayPlan:
    """The rebates of settlement day `day`; `bets` are the natural bets that could have settled on it.

    Only rebates dispatched inside the activity exist; corrections after its end are left to the caller to
    drop.
    """
    random = dice(config.seed, "lucko", agent.agent_id, "rebates", day)
    times = iter(_dispatch_times(random, day))
    drafts = [(at, draft) for at, draft in _drafts(config, agent, day, bets, times) if config.active(at)]
    if not drafts:
        return DayPlan()
    kinds = choose([draft for _, draft in drafts], random, share=config.break_share)
    rebates: list[Rebate] = []
    corrections: list[tuple[str, Version]] = []
    extra: list[Bet] = []
    for n, (create_time, draft) in enumerate(drafts):
        kind = kinds.get(n)
        failed = random.random() < 0.02 and kind is None
        if kind is not None:
            draft = kind.plant(draft, random)
        corrections += draft.corrections
        extra += draft.extra_bets
        rebates.append(_dispatch(draft, kind=kind, failed=failed, ids=_ids(random, config, agent, create_time)))
    for user in random.sample(IDLE_USERS, 2):
        at = next(times)
        if config.active(at):
            rebates.append(_empty(user, day=day, ids=_ids(random, config, agent, at)))
    rebates.sort(key=lambda rebate: (rebate.create_time, rebate.id))
    return DayPlan(rebates=tuple(rebates), corrections=tuple(corrections), extra_bets=tuple(extra))
