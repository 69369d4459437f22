"""The worlds themselves: repeatable, bounded by the activity, and wrong exactly where something was planted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sim_clients import DAY, HOTROAD, HOUR, JDB, LUCKO, MINUTE, NOW, TODAY, VERTEXPLAY

import simulator
from simulator import truth
from simulator.clock import WorldClock
from simulator.wire.base import json_answer
from simulator.world import FEEDS, World
from simulator.world.lucko import LOOKBACK_DAYS, LuckoWorld
from simulator.world.plants import KINDS, rebate_amount

AGENTS: dict[str, simulator.config.Agent] = {
    "lucko_bets": LUCKO,
    "lucko_rebates": LUCKO,
    "hotroad_summary": HOTROAD,
    "jdb_daily": JDB,
    "vertexplay_betlogs": VERTEXPLAY,
}
LATER = NOW + 30 * DAY


def world(**settings: object) -> World:
    config = simulator.SimConfig(**({"seed": 7} | settings))  # type: ignore[arg-type]
    return World(config, WorldClock(frozen_at=LATER))


@cache
def lucko(**settings: object) -> LuckoWorld:
    """A Lucko world, shared by all tests that do not change it."""
    return world(**settings).lucko[LUCKO.agent_id]


def fingerprint(made: World, start: int, end: int) -> str:
    parts = [json_answer(made.rows(feed, AGENTS[feed].agent_id, start, end)).body for feed in FEEDS]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def expected(made: LuckoWorld, start: int, end: int) -> dict[str, frozenset[str]]:
    """Reasons by rebate as planted: once the plant shows, and if it came to happen at all."""
    until = made._config.activity_until or LATER
    return {
        rebate.id: KINDS[rebate.kind].reasons
        for rebate in made.dispatched(start, end, as_of=end)
        if rebate.kind and rebate.breaks_at is not None and rebate.breaks_at <= end and rebate.breaks_at < until
    }


def judged(made: LuckoWorld, start: int, end: int) -> dict[str, frozenset[str]]:
    return {row["rebate_id"]: frozenset(row["reasons"]) for row in truth.breaks(made, start, end)}


# ---------------------------------------------------------------- determinism


def test_equal_settings_make_equal_bytes_and_seeds_differ() -> None:
    first = fingerprint(world(), TODAY - DAY, TODAY)
    assert first == fingerprint(world(), TODAY - DAY, TODAY)
    assert first != fingerprint(world(seed=8), TODAY - DAY, TODAY)


def test_the_order_of_questions_does_not_matter() -> None:
    made = world()
    fingerprint(made, TODAY + DAY, TODAY + DAY + HOUR)
    fingerprint(made, TODAY - 2 * DAY, TODAY - 2 * DAY + HOUR)
    assert fingerprint(made, TODAY - DAY, TODAY) == fingerprint(world(), TODAY - DAY, TODAY)


def test_another_process_makes_the_same_bytes() -> None:
    here = Path(__file__).resolve().parent
    code = "import test_sim_world as t; print(t.fingerprint(t.world(), t.TODAY - t.DAY, t.TODAY))"
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1] / "include")]),
        "PYTHONHASHSEED": "4711",
        "TZ": "Asia/Shanghai",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == fingerprint(world(), TODAY - DAY, TODAY)


# ---------------------------------------------------------------- bets


def test_no_update_is_later_than_the_lookback() -> None:
    made = lucko()
    for day in range(TODAY // DAY - 3, TODAY // DAY):
        for bet in made._final(day).bets.values():
            assert all(v.update_time // DAY - bet.bet_time // DAY <= LOOKBACK_DAYS for v in bet.versions)
            ats = [version.at for version in bet.versions]
            assert ats == sorted(set(ats))
            assert ats[0] == bet.bet_time


def test_the_latest_possible_update_is_served() -> None:
    """Placed before midnight, settled after it, corrected two days after the bet."""
    made = lucko(break_share=1.0, agents=(replace(LUCKO, users=60, bets_per_hour=6),))
    late = [
        (version.update_time, bet.id)
        for day in range(TODAY // DAY - 120, TODAY // DAY)
        for bet in made._final(day).bets.values()
        for version in bet.versions
        if version.update_time // DAY - day == LOOKBACK_DAYS
    ]
    assert late
    for at, bet_id in late:
        assert bet_id in {row["id"] for row in made.bets(at, at + 1, as_of=LATER)}


def test_a_bet_is_in_exactly_one_place_at_any_time() -> None:
    """Every bet that exists is found once in the whole range, by its update_time of that moment."""
    made = lucko()
    start, end = TODAY - 3 * DAY, TODAY + DAY
    for as_of in (TODAY - HOUR, TODAY + 75 * MINUTE, TODAY + 5 * HOUR):
        rows = made.bets(start, end, as_of=as_of)
        assert max(Counter(row["id"] for row in rows).values()) == 1
        assert all(made.bet(row["id"], as_of=as_of) == row for row in rows)
        born = {b.id for day in range(start // DAY, end // DAY) for b in made._final(day).bets.values()}
        seen = {row["id"] for row in rows}
        assert {bet_id for bet_id in born if made.bet(bet_id, as_of=as_of)} <= seen


def test_histories_hold_every_kind_of_change() -> None:
    made = lucko()
    paths = Counter(
        tuple(version.status for version in bet.versions) for bet in made._final(TODAY // DAY - 3).bets.values()
    )
    assert set(paths) >= {(0, 1), (0, 2), (0, 3), (0, 1, 4), (0, 1, 1)}


def test_touching_moves_only_the_update_time() -> None:
    made = world().lucko[LUCKO.agent_id]
    before = made.bets(TODAY - 9 * DAY, TODAY - 9 * DAY + HOUR, as_of=NOW)
    truths = judged(made, TODAY - 8 * DAY, TODAY - 7 * DAY)
    made.touch(before[0]["id"], at=NOW - 5)
    after = made.bets(TODAY - 9 * DAY, TODAY - 9 * DAY + HOUR, as_of=NOW)
    assert after == before[1:]
    [moved] = [row for row in made.bets(NOW - 5, NOW, as_of=NOW) if row["id"] == before[0]["id"]]
    assert moved == before[0] | {"update_time": NOW - 5}
    assert judged(made, TODAY - 8 * DAY, TODAY - 7 * DAY) == truths
    with pytest.raises(KeyError):
        made.touch("f" * 24, at=NOW)


# ---------------------------------------------------------------- rebates and breaks


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_is_found_and_nothing_else(seed: int) -> None:
    made = lucko(seed=seed)
    start, end = TODAY - 2 * DAY, TODAY + DAY
    assert judged(made, start, end) == expected(made, start, end)
    assert {row["kind"] for row in truth.breaks(made, start, end)} == set(KINDS)


def test_each_day_has_each_kind_once_and_about_the_share() -> None:
    made = lucko()
    for day in range(TODAY // DAY - 3, TODAY // DAY):
        rebates = made._plan(day).rebates
        kinds = Counter(rebate.kind for rebate in rebates if rebate.kind)
        assert set(kinds) == set(KINDS)
        assert 0.05 < sum(kinds.values()) / len(rebates) < 0.12


def test_shares() -> None:
    assert not judged(lucko(break_share=0.0), TODAY - DAY, TODAY + DAY)
    made = lucko(break_share=1.0)
    found = judged(made, TODAY, TODAY + DAY)
    assert found == expected(made, TODAY, TODAY + DAY)
    assert len(found) > 100


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**31), cut=st.integers(TODAY - DAY, TODAY + 3 * HOUR), length=st.integers(HOUR, 3 * DAY))
@example(seed=1, cut=TODAY + 20 * MINUTE, length=2 * DAY)
@example(seed=2, cut=TODAY + 80 * MINUTE, length=2 * DAY)
@example(seed=3, cut=TODAY + 100 * MINUTE, length=DAY)
def test_planted_is_found_whatever_the_activity(seed: int, cut: int, length: int) -> None:
    agent = replace(LUCKO, users=30, bets_per_hour=15)
    made = lucko(seed=seed, agents=(agent,), activity_from=cut - length, activity_until=cut)
    for end in (cut, TODAY + DAY):
        assert judged(made, TODAY - 2 * DAY, end) == expected(made, TODAY - 2 * DAY, end)


def test_late_breaks_show_only_once_they_happened() -> None:
    made = lucko()
    late = [r for r in made.dispatched(TODAY, TODAY + HOUR, as_of=LATER) if r.breaks_at and r.breaks_at > r.create_time]
    assert {rebate.kind for rebate in late} == {"voided_after_rebate", "restated_after_rebate"}
    for rebate in late:
        assert rebate.breaks_at is not None
        assert rebate.id not in judged(made, TODAY, rebate.breaks_at - 1)
        assert rebate.id in judged(made, TODAY, rebate.breaks_at)
        assert TODAY + HOUR <= rebate.breaks_at < TODAY + HOUR + 50 * MINUTE


def test_a_rebate_names_all_its_users_settled_bets() -> None:
    made = lucko(break_share=0.0)
    rows = made.rebates(TODAY, TODAY + HOUR, as_of=LATER)
    settled: dict[tuple[str, str], set[str]] = {}
    for row in made.bets(TODAY - 2 * DAY, TODAY + DAY, as_of=TODAY + HOUR):
        if row["status"] == 1 and row["settle_time"] // DAY == TODAY // DAY - 1:
            settled.setdefault((row["user_id"], row["currency"]), set()).add(row["id"])
    named = {(row["user_id"], row["currency"]): set(row["txn_ids"]) for row in rows if row["txn_ids"]}
    assert named == settled
    assert len(rows) - len(named) == 2
    for row in rows:
        exact = Decimal(row["turnover"]) * Decimal(row["rate"]) / 100
        assert Decimal(row["rebate_amount"]) == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_the_judge_knows_the_reasons_nobody_plants() -> None:
    bet = {"user_id": "u", "currency": "USD", "status": 1, "valid_bet_turnover": "100", "bet_time": 0}
    rebate = {
        "id": "r1", "activity_id": "a", "user_id": "u", "date": 0, "currency": "USD", "turnover": "100.00",
        "rate": "1", "rebate_amount": "1.00", "wallet_txn_id": "w1", "status": 1, "create_time": 5, "txn_ids": ["b"],
    }  # fmt: skip

    def reasons(*bends: dict[str, object], **state: object) -> list[tuple[str, list[str], str]]:
        found = truth.judge([rebate | bend for bend in bends], lambda _: bet | state, as_of=15 * DAY)
        return [(one.rebate["id"], sorted(one.reasons), f"{one.overpaid}") for one in found]

    assert reasons({}) == []
    assert reasons({"status": 0, "turnover": "5"}) == []
    assert reasons({"wallet_txn_id": ""}) == [("r1", ["wallet_txn_missing"], "0.00")]
    assert reasons({"txn_ids": ["b", "b"]}) == [("r1", ["reused_bet"], "0.00")]
    assert reasons({"user_id": "v"}) == [("r1", ["foreign_bet"], "1.00")]
    assert reasons({}, currency="CNY") == [("r1", ["foreign_bet", "turnover"], "1.00")]
    assert reasons({}, status=0) == [("r1", ["unsettled_bet"], "1.00")]
    assert reasons({}, status=9) == [("r1", ["turnover", "voided_bet"], "1.00")]
    assert reasons({}, {"id": "r2", "wallet_txn_id": "w2"}) == [("r2", ["paid_twice", "reused_bet"], "1.00")]
    assert reasons({}, {"id": "r2", "txn_ids": [], "turnover": "0", "rebate_amount": "0.00"}) == [
        ("r2", ["wallet_txn_reused"], "0.00")
    ]


def test_half_cents_round_away_from_zero() -> None:
    assert rebate_amount(Decimal("101"), "0.5") == Decimal("0.51")
    assert rebate_amount(Decimal("0.40"), "1.25") == Decimal("0.01")
    assert rebate_amount(Decimal("-101"), "0.5") == Decimal("-0.51")


# ---------------------------------------------------------------- activity


def test_nothing_happens_outside_the_activity() -> None:
    start, end = TODAY - 2 * DAY + 7 * HOUR + 13, TODAY + 30 * MINUTE + 1
    made = world(activity_from=start, activity_until=end)
    wide = (TODAY - 6 * DAY, TODAY + 6 * DAY)
    bets = made.rows("lucko_bets", LUCKO.agent_id, *wide)
    assert bets
    for row in bets:
        assert start <= row["bet_time"] <= row["update_time"] < end
        assert row["settle_time"] < end
    assert any(row["status"] == 0 for row in bets)
    rebates = made.rows("lucko_rebates", LUCKO.agent_id, *wide)
    assert rebates
    assert all(start <= row["create_time"] < end for row in rebates)
    free = world().rows("lucko_rebates", LUCKO.agent_id, TODAY, TODAY + HOUR)
    assert len(made.rows("lucko_rebates", LUCKO.agent_id, TODAY, TODAY + HOUR)) < len(free)
    logs = made.rows("vertexplay_betlogs", VERTEXPLAY.agent_id, *wide)
    assert logs
    assert all(r["betStatus"] == 1 or r["txTime"] >= r["betTime"] for r in logs)
    assert logs == made.rows("vertexplay_betlogs", VERTEXPLAY.agent_id, start, end)
    hours = made.rows("hotroad_summary", HOTROAD.agent_id, *wide)
    assert hours == made.rows("hotroad_summary", HOTROAD.agent_id, start // HOUR * HOUR, end)
    assert made.rows("jdb_daily", JDB.agent_id, *wide)
    for feed in FEEDS:
        assert made.rows(feed, AGENTS[feed].agent_id, TODAY + 2 * DAY, TODAY + 4 * DAY) == []
        assert made.rows(feed, AGENTS[feed].agent_id, TODAY - 6 * DAY, TODAY - 4 * DAY) == []


def test_what_lies_inside_is_as_without_bounds() -> None:
    """Bets that had time to settle for good are the same with and without an end of the activity."""
    bounded, free = lucko(activity_until=TODAY + 12 * HOUR), lucko()
    window = (TODAY - 3 * DAY, TODAY - 3 * DAY + HOUR)
    assert bounded.bets(*window, as_of=LATER) == free.bets(*window, as_of=LATER)


# ---------------------------------------------------------------- size and speed


def test_sizes_follow_the_settings() -> None:
    small = lucko(agents=(replace(LUCKO, users=5, bets_per_hour=6),))
    rows = small.bets(TODAY - DAY, TODAY, as_of=LATER)
    assert len(rows) < 300
    assert len({row["user_id"] for row in rows}) == 5
    big = lucko(agents=(replace(LUCKO, bets_per_hour=120),))
    assert len(big.bets(TODAY - DAY, TODAY, as_of=LATER)) > 2000


def test_an_hour_is_served_fast() -> None:
    made = lucko()
    made.bets(TODAY - DAY, TODAY, as_of=LATER)
    begin = time.perf_counter()
    for n in range(24):
        made.bets(TODAY - DAY + n * HOUR, TODAY - DAY + (n + 1) * HOUR, as_of=LATER)
    assert (time.perf_counter() - begin) / 24 < 0.05
