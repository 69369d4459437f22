"""Unclaimed turnover per user, which activity could have rebated it, and how much of what it could each did."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from world import DAY, DAYS, HOUR, World

from tieout.core.clock import epoch_ms
from tieout.core.recon.daily import unclaimed_bets
from tieout.core.recon.eligibility import Eligibility

D = Decimal
TODAY = DAY.date()


def unclaimed(world: World) -> dict[tuple[date, str, str], tuple[int, D, int, D]]:
    """Return (bets, turnover, eligible bets, eligible turnover) by (day, currency, user)."""
    return {
        (row["day"], row["currency"], row["user_id"]): (
            row["bets"], row["turnover"], row["eligible_bets"], row["eligible_turnover"],
        )
        for row in world.rows("recon.unclaimed", "day, currency, user_id")
    }  # fmt: skip


def activities(world: World, currency: str = "USD") -> dict[str, dict[str, Any]]:
    """Return the claim rates of DAY by activity, figures that are zero left out."""
    kept = (
        "eligible_bets", "eligible_turnover", "claimed_bets", "claimed_turnover", "claim_rate", "ineligible_bets",
        "ineligible_turnover",
    )  # fmt: skip
    return {
        row["activity_id"]: {name: row[name] for name in kept if row[name]}
        for row in world.rows("recon.activity_daily", "activity_id")
        if row["currency"] == currency and row["day"] == TODAY
    }


def test_unclaimed_per_user_day_and_currency(world: World) -> None:
    world.bet("a", "10")
    world.bet("b", "2.5")
    world.bet("other user", "4", user="u2")
    world.bet("other currency", "700", currency="VND2")
    world.bet("other day", "8", settled=DAY - HOUR)
    world.bet("claimed", "100")
    world.bet("claimed in euros", "50")
    world.bet("void", "9", status=4)
    world.rebate("r", ["claimed"])
    world.rebate("e", ["claimed in euros"], "0", currency="EUR")
    world.rebate("failed", ["a"], status=0)
    world.settle().judge(TODAY - DAYS, TODAY)
    assert unclaimed(world) == {
        (TODAY - DAYS, "USD", "u1"): (1, D(8), 1, D(8)),
        (TODAY, "USD", "u1"): (2, D("12.5"), 2, D("12.5")),
        (TODAY, "USD", "u2"): (1, D(4), 1, D(4)),
        (TODAY, "VND2", "u1"): (1, D(700), 1, D(700)),
    }


@pytest.mark.parametrize(("timezone", "found"), [("UTC", ["a", "undated"]), ("Asia/Shanghai", ["early"])])
def test_the_bets_behind_a_row_are_told_on_demand(world: World, timezone: str, found: list[str]) -> None:
    world.bet("a", settled=DAY + 20 * HOUR)
    world.bet("early", settled=DAY - HOUR)
    world.bet("undated", settle_time=0, bet_time=epoch_ms(DAY + 23 * HOUR))
    world.bet("claimed", settled=DAY + HOUR)
    world.bet("other user", user="u2")
    world.rebate("r", ["claimed"])
    world.settle()
    assert unclaimed_bets(
        world.reading.warehouse, agent=world.agent, day=TODAY, timezone=timezone, currency="USD", user_id="u1"
    ) == found  # fmt: skip
    world.judge(timezone=timezone)
    assert unclaimed(world)[TODAY, "USD", "u1"][0] == len(found)


def test_claim_rates_of_activities_that_nothing_is_agreed_of(world: World) -> None:
    """Each may rebate every bet; a bet named twice by one activity is claimed once."""
    for id, turnover in {"a": "100", "b": "60", "c": "40"}.items():
        world.bet(id, turnover)
    world.rebate("r1", ["a", "b"], "160", activity="x")
    world.rebate("r2", ["b"], "60", activity="x")
    world.rebate("r3", ["b"], "60", activity="y")
    world.settle().judge()
    whole = {"eligible_bets": 3, "eligible_turnover": D(200)}
    assert activities(world) == {
        "x": {**whole, "claimed_bets": 2, "claimed_turnover": D(160), "claim_rate": D("0.8")},
        "y": {**whole, "claimed_bets": 1, "claimed_turnover": D(60), "claim_rate": D("0.3")},
    }


def test_an_agreed_activity_rebates_its_games_and_currencies_only(world: World) -> None:
    world.bet("roulette", "30", game_id="103")
    world.bet("baccarat", "50", game_id="101")
    world.bet("baccarat too", "20", game_id="101")
    world.bet("dong", "900", game_id="103", currency="VND2")
    world.rebate("r", ["baccarat", "roulette"], "80", activity="cards")
    agreed = {
        "cards": Eligibility(games=("101",), currencies=("USD",)),
        "never used": Eligibility(currencies=("EUR",)),
    }
    world.settle().judge(activities=agreed)
    assert activities(world) == {
        "cards": {
            "eligible_bets": 2, "eligible_turnover": D(70), "claimed_bets": 1, "claimed_turnover": D(50),
            "claim_rate": D("0.714286"), "ineligible_bets": 1, "ineligible_turnover": D(30),
        },
    }  # fmt: skip
    assert activities(world, "VND2") == {}
    assert unclaimed(world) == {
        (TODAY, "USD", "u1"): (1, D(20), 1, D(20)),
        (TODAY, "VND2", "u1"): (1, D(900), 0, D(0)),
    }


def test_an_activity_has_no_rate_on_a_day_it_claims_nothing_of(world: World) -> None:
    """Whichever days are written together."""
    world.bet("a")
    world.bet("other day", settled=DAY - HOUR)
    world.rebate("r", ["a"], activity="x")
    world.settle()
    for days in ([TODAY - DAYS, TODAY], [TODAY - DAYS], [TODAY]):
        world.judge(*days)
        assert [(row["day"], row["activity_id"]) for row in world.rows("recon.activity_daily", "day")] == [(TODAY, "x")]


def test_judging_again_replaces_users_and_activities(world: World) -> None:
    world.bet("a", bet_time=epoch_ms(DAY))
    world.settle().judge()
    assert set(unclaimed(world)) == {(TODAY, "USD", "u1")}
    world.rebate("r", ["a"], activity="x")
    world.read_rebates()
    world.judge()
    assert unclaimed(world) == {}
    assert activities(world)["x"]["claim_rate"] == 1
