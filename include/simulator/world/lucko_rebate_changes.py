"""What may happen to Lucko rebates after the fact; kinds as in `simulator.world.change`.

A late rebate is right when it appears: it pays a second activity for bets of an earlier rebate, as they stand then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from simulator.config import SimConfig
from simulator.world.bets import SETTLED, ZERO, Bet
from simulator.world.chance import digits
from simulator.world.change import ChangeOrder
from simulator.world.lucko_rebates import Rebate
from simulator.world.plants import rebate_amount
from simulator.world.texts import marked

Find = Callable[[str], Bet | None]


def changed_rebates(
    shown: Sequence[Rebate], order: ChangeOrder, *, config: SimConfig, hostile: bool, find: Find
) -> list[tuple[str, Rebate]]:
    """(kind, rebate as it is from now on) for the share of the `shown` ones that `order` changes.

    Few rebates fail, so all failed ones may be needed; late ones make up the rest.
    """
    count = order.count(len(shown))
    failed = [rebate for rebate in shown if rebate.status == 0] if "recovered" in order.kinds else []
    wanted = (count + 1) // 2 if "late" in order.kinds else count
    recovered = order.random.sample(failed, min(len(failed), wanted))
    made = [("recovered", replace(rebate, recovers_at=order.at)) for rebate in recovered]
    if "late" in order.kinds:
        bases = [rebate for rebate in shown if rebate.status == 1]
        activity = digits(order.random, 24)
        chosen = order.random.sample(bases, min(len(bases), count - len(made)))
        late = (_late(base, order, activity, hostile, find) for base in chosen)
        made += [("late", rebate) for rebate in late if config.active(rebate.create_time)]
    return made


def _late(base: Rebate, order: ChangeOrder, activity: str, hostile: bool, find: Find) -> Rebate:
    turnover, kept = ZERO, []
    for bet_id in dict.fromkeys(base.txn_ids):
        bet = find(bet_id)
        version = bet.at(order.at) if bet else None
        if bet is None or version is None or version.status != SETTLED:
            continue
        if (bet.user_id, bet.currency) == (base.user_id, base.currency):
            turnover += version.turnover
            kept.append(bet_id)
    create_time = order.random.randrange(base.create_time, min(order.end, order.at + 1))
    plain = f"{create_time // 1000:08x}{digits(order.random, 16)}"
    return Rebate(
        id=marked(plain) if hostile else plain,
        activity_id=activity,
        user_id=base.user_id,
        date=base.date,
        currency=base.currency,
        turnover=f"{turnover:.2f}",
        rate=base.rate,
        amount=rebate_amount(turnover, base.rate),
        wallet_txn_id=f"{create_time // 1000:08x}{digits(order.random, 16)}",
        status=1,
        create_time=create_time,
        txn_ids=tuple(kept),
        late_until=order.at,
    )
