"""Two simulated days: the breaks found are exactly those the world's own judge names."""

from __future__ import annotations

import json
import time
from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from world import DAY, DAYS, HOUR, NEXT, World

import simulator
from simulator import truth
from simulator.clock import WorldClock
from simulator.wire.base import json_answer
from simulator.world import World as Simulated
from simulator.world.lucko import LuckoWorld
from simulator.world.plants import KINDS
from simulator.world.row_plants import KINDS as ROW_KINDS
from simulator.world.row_plants import Rows, bend
from tieout.core.clock import epoch_ms

D = Decimal
AGENT = simulator.LuckoAgent(agent_id="played", sign_key="key", users=40, bets_per_hour=30)
#: Corrections of the second day's rebates are over by then.
END = NEXT + DAYS + 3 * HOUR
SETTLEMENT_DAYS = (DAY.date(), NEXT.date())


@pytest.fixture(params=[1, 2], ids="seed {}".format)
def played(request: pytest.FixtureRequest) -> LuckoWorld:
    """A Lucko world that began at DAY and is shown as of END."""
    config = simulator.SimConfig(
        seed=request.param, agents=(AGENT,), break_share=0.2, now=epoch_ms(END), activity_from=epoch_ms(DAY)
    )
    return Simulated(config, WorldClock(frozen_at=epoch_ms(END))).lucko[AGENT.agent_id]


def load(played: LuckoWorld, world: World) -> World:
    """Read all that is shown, the bets in one reading up to the last hour."""
    start, end = epoch_ms(DAY), epoch_ms(END)
    world.bets = json.loads(json_answer(played.bets(start, end + 1, as_of=end)).body)
    world.rebates = json.loads(json_answer(played.rebates(start, end, as_of=end)).body)
    world.declare(start=DAY, stop=END)
    world.read_bets(DAY, END)
    world.read_rebates(DAY, END)
    return world


def test_breaks_found_are_those_planted(played: LuckoWorld, world: World) -> None:
    load(played, world)
    # No bet can lie before the first of all; without a lookback the first day is provable too.
    summary = world.judge(*SETTLEMENT_DAYS, bet_lookback=0 * DAYS)
    planted = truth.breaks(played, epoch_ms(DAY), epoch_ms(END))
    found = {(key, tuple(sorted(v.reasons))) for key, v in world.verdicts().items() if v.verdict == "break"}
    assert found == {(row["rebate_id"], tuple(row["reasons"])) for row in planted}
    assert {row["kind"] for row in planted} == set(KINDS)
    assert set(world.breaks()) == {(row["rebate_id"], reason) for row in planted for reason in row["reasons"]}
    rebates = world.rebates
    failed = sum(rebate["status"] == 0 for rebate in rebates)
    assert (summary.judged, summary.failed, summary.broken) == (len(rebates), failed, len(planted))
    assert (summary.matched, summary.pending, summary.unprovable) == (len(rebates) - failed - len(planted), 0, 0)
    assert {row["rebate_id"]: D(row["overpaid"]) for row in planted} == {
        row["rebate_id"]: world.verdict(row["rebate_id"]).overpaid for row in planted
    }


def bent(played: LuckoWorld, world: World, seed: int, *, share: float = 0.3) -> Rows:
    """Read what is shown after planting into the rows, from long before the first day on."""
    start, end = epoch_ms(DAY), epoch_ms(END)
    rows = Rows(
        rebates=json.loads(json_answer(played.rebates(start, end, as_of=end)).body),
        bets=json.loads(json_answer(played.bets(start, end + 1, as_of=end)).body),
        as_of=end,
        random=Random(seed),
    )
    bend(rows, share=share)
    world.bets, world.rebates = rows.bets, rows.rebates
    world.declare(start=DAY - 16 * DAYS, stop=END)
    world.read_bets(DAY - 16 * DAYS, DAY)
    world.read_bets(DAY, END)
    world.read_rebates(DAY, END)
    return rows


def test_every_kind_and_their_combinations_are_found(played: LuckoWorld, world: World) -> None:
    """Verdict, reasons and money of every rebate are those of the world's own judge, and components add up."""
    rows = bent(played, world, seed=7)
    world.judge(*SETTLEMENT_DAYS, bet_lookback=0 * DAYS)
    lookup = {bet["id"]: bet for bet in rows.bets}
    truths = {one.rebate["id"]: one for one in truth.judge(rows.rebates, lookup.get, as_of=rows.as_of)}
    verdicts = world.verdicts()
    found = {key: frozenset(verdict.reasons) for key, verdict in verdicts.items() if verdict.verdict == "break"}
    assert found == {key: one.reasons for key, one in truths.items()}
    assert {key: verdicts[key].overpaid for key in truths} == {key: one.overpaid for key, one in truths.items()}
    assert set().union(*rows.planted.values()) == set(ROW_KINDS)
    assert rows.planted.keys() <= found.keys()
    assert max(len(kinds) for kinds in rows.planted.values()) >= 2
    assert {reason for reasons in found.values() for reason in reasons} == {
        "turnover", "amount", "missing_bet", "voided_bet", "foreign_bet", "reused_bet", "wallet_txn_missing",
        "wallet_txn_reused", "paid_twice", "unsettled_bet",
    }  # fmt: skip
    sums: Counter[tuple[str, str]] = Counter()
    for row in world.rows("recon.break_components", "rebate_id"):
        sums[row["rebate_id"], row["of"]] += row["amount"]
    for key in found:
        verdict = verdicts[key]
        assert sums[key, "difference"] == verdict.difference
        assert sums[key, "entitlement"] == verdict.turnover - verdict.entitled_turnover


def test_the_daily_tie_out_sums_what_was_served(played: LuckoWorld, world: World) -> None:
    load(played, world).judge(*SETTLEMENT_DAYS, bet_lookback=0 * DAYS)
    paid: Counter[tuple[object, str]] = Counter()
    turnover: Counter[tuple[object, str]] = Counter()
    days = {epoch_ms(DAY): DAY.date(), epoch_ms(NEXT): NEXT.date()}
    for rebate in world.rebates:
        if rebate["status"]:
            paid[days[rebate["date"]], rebate["currency"]] += D(rebate["rebate_amount"])
    day_ms = epoch_ms(NEXT) - epoch_ms(DAY)
    for bet in world.bets:
        day = days.get(bet["settle_time"] // day_ms * day_ms)
        if bet["status"] == 1 and day is not None:
            turnover[day, bet["currency"]] += D(bet["valid_bet_turnover"])
    found = world.daily()
    assert {key: row["paid"] for key, row in found.items()} == paid
    assert {key: row["bet_turnover"] for key, row in found.items()} == turnover
    assert all(row["pending"] == row["unprovable"] == 0 for row in found.values())


def test_statistics_that_never_saw_the_agent_do_not_stall_the_judge(played: LuckoWorld, world: World) -> None:
    """The planner takes an agent that is not in its statistics for one row; joins must stay fast all the same."""
    load(played, world)
    for name in ("lucko_bets", "lucko_rebates", "lucko_rebate_bets"):
        world.db.execute(f"ANALYZE staging.{name}".encode())
    late = World(world.reading, world.db, agent=f"late-{world.agent}")
    load(played, late)
    started = time.monotonic()
    late.judge(*SETTLEMENT_DAYS, bet_lookback=0 * DAYS)
    assert time.monotonic() - started < 20
