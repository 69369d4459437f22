"""The daily tie-out: sums by settlement day and currency, from bets by settle_time and rebates by their date."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from world import DAY, DAYS, DISPATCHED, HOUR, NEEDED, NEXT, World

from readings import at
from tieout.core.recon.settings import Rounding

D = Decimal
TODAY = DAY.date()
MS = timedelta(milliseconds=1)
FIGURES = (
    "bets", "bet_turnover", "rebates", "rebates_failed", "rebated_turnover", "paid", "expected", "difference",
    "entitled", "overpaid", "underpaid", "unclaimed_bets", "unclaimed_turnover", "matched", "pending", "broken",
    "unprovable",
)  # fmt: skip


def figures(world: World, day: date = TODAY, currency: str = "USD") -> dict[str, object]:
    """Return one row's figures that are not zero."""
    row = world.daily()[day, currency]
    return {name: row[name] for name in FIGURES if row[name]}


def test_every_figure_of_a_mixed_day(world: World) -> None:
    world.bet("a", "100")
    world.bet("b", "60")
    world.bet("void", "999", status=3)
    world.bet("open", "999", status=0)
    world.bet("failed only", "30")
    world.bet("unclaimed", "7.25")
    world.bet("vnd", "250", currency="VND2")
    world.rebate("matched", ["a"], "100", "1.00")
    world.rebate("overpaid", ["b"], "60", "0.75")
    world.rebate("underpaid", [], "50", "0.40")
    world.rebate("pending", ["open"], "10", "0.10")
    world.rebate("failed", ["failed only"], "500", "5.00", status=0)
    world.rebate("vnd2", ["vnd"], "250", "3", currency="VND2")
    world.settle().judge(rounding={"VND2": Rounding(places=0)})
    assert figures(world) == {
        "bets": 4,
        "bet_turnover": D("197.25"),
        "rebates": 4,
        "rebates_failed": 1,
        "rebated_turnover": D(220),
        "paid": D("2.25"),
        "expected": D("2.20"),
        "difference": D("0.05"),
        "entitled": D("1.60"),
        "overpaid": D("0.65"),
        "unclaimed_bets": 2,
        "unclaimed_turnover": D("37.25"),
        "matched": 1,
        "pending": 1,
        "broken": 2,
    }
    assert figures(world, currency="VND2") == {
        "bets": 1, "bet_turnover": D(250), "rebates": 1, "rebated_turnover": D(250), "paid": D(3), "expected": D(3),
        "entitled": D(3), "matched": 1,
    }  # fmt: skip
    assert set(world.daily()) == {(TODAY, "USD"), (TODAY, "VND2")}


def test_over_and_underpayment_do_not_cancel(world: World) -> None:
    world.rebate("over", [world.bet("a")], "100", "1.30")
    world.rebate("under", [world.bet("b")], "100", "0.80")
    world.rebate("negative", turnover="-10", amount="-0.10")
    world.settle().judge()
    found = figures(world)
    assert (found["overpaid"], found["underpaid"]) == (D("0.30"), D("0.30"))
    assert (found["paid"], found["expected"], found["difference"]) == (D("2.00"), D("1.90"), D("0.10"))


def test_expected_is_the_sum_of_rounded_amounts(world: World) -> None:
    for n in range(3):
        world.rebate(f"r{n}", [world.bet(f"b{n}", "0.50")], "0.50", "0.01")
    world.settle().judge()
    assert figures(world)["expected"] == D("0.03")
    assert "difference" not in figures(world)


def test_unprovable_rebates_are_counted_with_their_money(world: World) -> None:
    world.declare(start=DAY)
    world.rebate("r", ["older"], "100", "1.00")
    world.settle().judge()
    found = figures(world)
    assert (found["unprovable"], found["paid"], found["overpaid"]) == (1, D("1.00"), D("1.00"))


def test_days_are_bet_days_and_rebate_dates(world: World) -> None:
    """The first day has only a bet, the second only a rebate, the third neither."""
    world.bet("b", settled=DAY - DAYS + HOUR, updated=DAY - DAYS + HOUR)
    world.rebate("r", turnover="0")
    world.settle()
    days = [TODAY - DAYS, TODAY, TODAY + DAYS]
    assert world.judge(*days).judged == 1
    assert set(world.daily()) == {(days[0], "USD"), (days[1], "USD")}
    assert figures(world, days[0]) == {
        "bets": 1, "bet_turnover": D(100), "unclaimed_bets": 1, "unclaimed_turnover": D(100),
    }  # fmt: skip
    assert figures(world, days[1]) == {"rebates": 1, "matched": 1}


def test_only_the_days_asked_for_are_written(world: World) -> None:
    world.bet("b")
    world.rebate("r", ["b"])
    world.rebate("r2", day=NEXT, turnover="0", created=NEXT + DAYS + HOUR)
    world.settle()
    assert world.judge(TODAY + DAYS).judged == 1
    assert set(world.daily()) == {(TODAY + DAYS, "USD")}
    assert set(world.verdicts()) == {"r2"}


@pytest.mark.parametrize(
    ("timezone", "start", "end"),
    [
        ("UTC", DAY, NEXT),
        ("Asia/Shanghai", DAY - 8 * HOUR, NEXT - 8 * HOUR),
        ("America/New_York", DAY + 4 * HOUR, NEXT + 4 * HOUR),
        ("Asia/Kolkata", DAY - 5.5 * HOUR, NEXT - 5.5 * HOUR),
    ],
)
def test_bets_belong_to_the_day_of_their_settlement_in_the_agents_timezone(
    world: World, timezone: str, start: datetime, end: datetime
) -> None:
    for name, settled in {"before": start - MS, "first": start, "last": end - MS, "after": end}.items():
        # Neither when it was placed nor when it last changed says anything about the day.
        world.bet(name, "1", updated=DAY - DAYS, settled=settled)
    world.settle().judge(TODAY - DAYS, TODAY, TODAY + DAYS, timezone=timezone)
    assert {day: row["bets"] for (day, _), row in world.daily().items()} == {
        TODAY - DAYS: 1,
        TODAY: 2,
        TODAY + DAYS: 1,
    }


def test_the_day_on_which_clocks_go_forward_has_23_hours(world: World) -> None:
    midnight = at(2026, 3, 8, 5)
    for name, settled in {"first": midnight, "last": midnight + 23 * HOUR - MS, "after": midnight + 23 * HOUR}.items():
        world.bet(name, "1", updated=DAY, settled=settled)
    world.settle().judge(date(2026, 3, 8), date(2026, 3, 9), timezone="America/New_York")
    assert {day: row["bets"] for (day, _), row in world.daily().items()} == {date(2026, 3, 8): 2, date(2026, 3, 9): 1}


def test_a_rebate_of_any_day_claims_a_bet_but_a_failed_one_does_not(world: World) -> None:
    world.bet("claimed elsewhere", "1")
    world.bet("claimed twice", "2")
    world.bet("failed", "4")
    world.rebate("other day", ["claimed elsewhere"], day=NEXT, created=NEXT + DAYS)
    world.rebate("one", ["claimed twice"])
    world.rebate("two", ["claimed twice"], activity="act2")
    world.rebate("failed", ["failed"], status=0)
    world.settle().judge()
    found = figures(world)
    assert (found["unclaimed_bets"], found["unclaimed_turnover"]) == (1, D(4))


def test_judging_again_replaces_the_day(world: World) -> None:
    world.bet("usd")
    world.bet("eur", currency="EUR")
    world.rebate("r", ["usd"], "100", "1.00")
    world.settle().judge()
    assert set(world.daily()) == {(TODAY, "USD"), (TODAY, "EUR")}
    world.bet("eur", currency="EUR", status=4, updated=NEXT + 4 * HOUR)
    world.bet("usd", "80", updated=NEXT + 4 * HOUR, settled=DAY + HOUR)
    world.read_bets(NEEDED[1], NEEDED[1] + 2 * HOUR)
    world.judge()
    assert set(world.daily()) == {(TODAY, "USD")}
    found = figures(world)
    assert (found["bets"], found["bet_turnover"], found["broken"]) == (1, D(80), 1)


def test_a_rebate_that_moved_to_another_day_leaves_no_verdict_behind(world: World) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle().judge(TODAY, TODAY + DAYS)
    assert figures(world)["rebates"] == 1
    world.rebate("r", ["b"], day=NEXT, created=DISPATCHED)
    world.read_rebates()
    world.judge(TODAY)
    assert "rebates" not in figures(world)
    assert world.verdict("r").day == TODAY + DAYS
