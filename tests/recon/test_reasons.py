"""Reasons, alone and together, where every slice that is needed is certified."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from world import DAY, DAYS, DISPATCHED, HOUR, NEXT, World, outcomes, tolerance

from tieout.core.recon.settings import ReconSettings, Rounding

D = Decimal
REASONS = ("amount", "missing_bet", "turnover", "voided_bet")
SUBSETS = [subset for size in range(5) for subset in combinations(REASONS, size)]


def plant(world: World, reasons: tuple[str, ...]) -> str:
    """Write down a rebate over two bets of 100 that has exactly these reasons, and return its id."""
    name = "-".join(reasons) or "right"
    bets = [world.bet(f"{name}-1"), world.bet(f"{name}-2")]
    turnover = D(200)
    if "voided_bet" in reasons:
        bets.append(world.bet(f"{name}-void", status=4))
    if "missing_bet" in reasons:
        bets.append(f"{name}-phantom")
    if "turnover" in reasons:
        turnover += D("0.01")
    amount = round(turnover / 100, 2) + (D("0.01") if "amount" in reasons else 0)
    return world.rebate(name, bets, str(turnover), str(amount))


def test_every_combination_of_reasons(world: World) -> None:
    planted = {plant(world, reasons): reasons for reasons in SUBSETS}
    summary = world.settle().judge()
    expected = {name: f"break: {' '.join(reasons)}" if reasons else "matched" for name, reasons in planted.items()}
    assert outcomes(world) == expected
    assert (summary.judged, summary.matched, summary.broken) == (16, 1, 15)
    assert (summary.pending, summary.unprovable, summary.failed) == (0, 0, 0)


def test_the_figures_of_a_break(world: World) -> None:
    """A rebate of 350 over a bet of 100, a void one that still shows 50, and one that does not exist."""
    bets = [world.bet("good"), world.bet("void", "50", status=3), "phantom"]
    world.rebate("r", bets, "350", "3.60")
    world.settle().judge()
    found = world.verdict("r")
    assert (found.linked_bets, found.linked_turnover, found.difference) == (3, D(100), D(250))
    assert (found.expected_amount, found.entitled_turnover, found.entitled) == (D("3.50"), D(100), D("1.00"))
    assert (found.overpaid, found.severity) == (D("2.60"), "medium")
    assert (found.missing_ids, found.voided_ids) == (["phantom"], ["void"])
    assert (found.provisional, found.pending_reason, found.waits_for) == ([], None, None)
    assert (found.day, found.user_id, found.currency, found.activity_id) == (DAY.date(), "u1", "USD", "act")


@pytest.mark.parametrize(
    ("turnover", "outcome"),
    [
        ("100.50", "matched"),
        ("99.50", "matched"),
        ("100.51", "break: turnover"),
        ("99.49", "break: turnover"),
        ("100.500001", "break: turnover"),
    ],
)
def test_turnover_tolerance_is_inclusive(world: World, turnover: str, outcome: str) -> None:
    world.rebate("r", [world.bet("b")], turnover)
    world.settle().judge(tolerances=tolerance(turnover=D("0.5"), amount=D(1)))
    assert outcomes(world) == {"r": outcome}
    assert world.verdict("r").difference == D(turnover) - 100


def test_amount_tolerance_is_inclusive_and_separate(world: World) -> None:
    for name, amount in {"over": "1.02", "under": "0.98", "far over": "1.021", "far under": "0.97"}.items():
        world.rebate(name, [world.bet(f"b {name}")], "100", amount)
    world.rebate("turnover off", [world.bet("b")], "100.02", "1.00")
    world.settle().judge(tolerances=tolerance(amount=D("0.02")))
    assert outcomes(world) == {
        "over": "matched",
        "under": "matched",
        "far over": "break: amount",
        "far under": "break: amount",
        "turnover off": "break: turnover",
    }


@pytest.mark.parametrize(
    ("mode", "places", "turnover", "amount"),
    [
        ("half_up", 2, "12.5", "0.13"),
        ("half_up", 2, "-12.5", "-0.13"),
        ("half_up", 2, "12.4999999999999999999", "0.12"),
        ("half_up", 2, "100.5", "1.01"),
        ("half_up", 0, "250", "3"),
        ("half_up", 0, "-250", "-3"),
        ("half_up", 3, "0.25", "0.003"),
        ("half_even", 2, "12.5", "0.12"),
        ("half_even", 2, "13.5", "0.14"),
        ("half_even", 2, "-12.5", "-0.12"),
        ("half_even", 2, "12.50000000000001", "0.13"),
        ("half_even", 0, "250", "2"),
        ("half_even", 0, "350", "4"),
        ("down", 2, "12.9999", "0.12"),
        ("down", 2, "-12.9999", "-0.12"),
        ("down", 0, "299", "2"),
    ],
)
def test_rounding(world: World, mode: str, places: int, turnover: str, amount: str) -> None:
    unit = D(1).scaleb(-places)
    for name, paid in {"right": D(amount), "above": D(amount) + unit, "below": D(amount) - unit}.items():
        world.rebate(name, turnover=turnover, amount=str(paid), user=name)
    world.settle().judge(
        rounding={"default": Rounding(places=places, mode=mode)}, tolerances=tolerance(turnover=D(10_000))
    )
    assert {name: verdict.expected_amount for name, verdict in world.verdicts().items()} == {
        name: D(amount) for name in ("right", "above", "below")
    }
    assert outcomes(world) == {"right": "matched", "above": "break: amount", "below": "break: amount"}


def test_rounding_is_chosen_by_the_opaque_currency(world: World) -> None:
    """VND2 is not VND: each code has its own entry, all others take the default."""
    for currency, amount in {"VND2": "3", "VND": "2.5", "USD": "2.50", "IDR": "2"}.items():
        world.rebate(currency, [world.bet(f"b {currency}", "250", currency=currency)], "250", amount, currency=currency)
    rounding = {"VND2": Rounding(places=0), "IDR": Rounding(places=0, mode="down")}
    world.settle().judge(rounding=rounding)
    assert outcomes(world) == dict.fromkeys(("VND2", "VND", "USD", "IDR"), "matched")


@pytest.mark.parametrize(
    ("rate", "amount"), [("1", "58.00"), ("0.5", "29.00"), ("1.25", "72.50"), ("0", "0"), ("0.333", "19.31")]
)
def test_the_rate_is_in_percent(world: World, rate: str, amount: str) -> None:
    world.rebate("r", [world.bet("b", "5800.00")], "5800.00", amount, rate=rate)
    world.rebate("fraction", [world.bet("b2", "5800.00")], "5800.00", str(D(5800) * D(rate) + 1), rate=rate)
    world.settle().judge()
    assert outcomes(world) == {"r": "matched", "fraction": "break: amount"}


def test_money_stays_exact_beyond_binary_fractions(world: World) -> None:
    bets = [world.bet(f"b{n}", "0.1") for n in range(3)]
    world.rebate("exact", bets, "0.3", "0.00")
    large = [world.bet("c1", "12345678901234567890.01"), world.bet("c2", "0.000000000000000001")]
    world.rebate("large", large, "12345678901234567890.010000000000000001", "123456789012345678.90")
    world.settle().judge()
    assert outcomes(world) == {"exact": "matched", "large": "matched"}


def test_only_bets_in_its_currency_count(world: World) -> None:
    bets = [world.bet("usd", "60"), world.bet("cny", "40", currency="CNY"), world.bet("vnd2", "40", currency="VND2")]
    world.rebate("r", bets, "100")
    world.rebate("foreign only", [world.bet("eur", currency="EUR")], "100")
    world.settle().judge()
    assert outcomes(world) == dict.fromkeys(("r", "foreign only"), "break: foreign_bet turnover")
    assert world.verdict("r").linked_turnover == D(60)
    assert world.verdict("foreign only").linked_turnover == 0


def test_another_users_bet_counts_for_the_difference_but_entitles_to_nothing(world: World) -> None:
    world.rebate("r", [world.bet("own", "70"), world.bet("other", "30", user="u2")], "100")
    world.settle().judge()
    found = world.verdict("r")
    assert (found.outcome, found.difference, found.linked_turnover) == ("break: foreign_bet", 0, D(100))
    assert (found.entitled_turnover, found.entitled, found.overpaid) == (D(70), D("0.70"), D("0.30"))


def test_a_rebate_without_bets_sums_to_zero(world: World) -> None:
    world.rebate("nothing", turnover="0", amount="0.00")
    world.rebate("something", turnover="10", amount="0.10", user="u2")
    world.settle().judge()
    assert outcomes(world) == {"nothing": "matched", "something": "break: turnover"}
    found = world.verdict("something")
    assert (found.linked_bets, found.linked_turnover, found.difference, found.overpaid) == (0, 0, D(10), D("0.10"))


def test_a_repeated_bet_id_counts_once(world: World) -> None:
    world.rebate("once", [world.bet("b")] * 3, "100")
    world.rebate("paid thrice", [world.bet("c")] * 3, "300")
    world.rebate("phantoms", ["x", "x"], "0")
    world.settle().judge()
    assert outcomes(world) == {
        "once": "break: reused_bet",
        "paid thrice": "break: reused_bet turnover",
        "phantoms": "break: missing_bet reused_bet",
    }
    assert (world.verdict("once").reused_ids, world.verdict("once").overpaid) == (["b"], 0)
    assert world.verdict("once").linked_bets == 1
    assert world.verdict("phantoms").missing_ids == ["x"]


def test_a_failed_rebate_is_kept_and_not_judged(world: World) -> None:
    world.rebate("failed", ["phantom", world.bet("void", status=2)], "999", "1", status=0)
    summary = world.settle().judge()
    assert (summary.judged, summary.failed, summary.broken) == (1, 1, 0)
    found = world.verdict("failed")
    assert (found.outcome, found.provisional, found.severity) == ("failed", [], None)
    assert world.breaks() == {}


def test_a_rebate_of_an_undocumented_status_is_judged_as_paid(world: World) -> None:
    world.rebate("odd", [world.bet("b")], "101", status=7)
    world.settle().judge()
    assert outcomes(world) == {"odd": "break: turnover"}


@pytest.mark.parametrize("status", [2, 3, 4, 5, -1, 2147483647])
def test_every_status_but_placed_and_settled_is_void(world: World, status: int) -> None:
    world.rebate("left out", [world.bet("good"), world.bet("void", "40", status=status)], "100")
    world.rebate("counted", [world.bet("fair"), world.bet("null", "40", status=status)], "140")
    world.settle().judge()
    assert outcomes(world) == {"left out": "break: voided_bet", "counted": "break: turnover voided_bet"}
    assert world.verdict("counted").voided_ids == ["null"]


def test_a_bet_entitles_only_the_first_successful_rebate_of_an_activity(world: World) -> None:
    """By (create_time, id); failed rebates and other activities claim nothing, and days do not matter."""
    bet = world.bet("b")
    world.rebate("failed", [bet], status=0, created=DISPATCHED - timedelta(minutes=2))
    world.rebate("z first", [bet], created=DISPATCHED - timedelta(minutes=1))
    world.rebate("a tie", [bet], created=DISPATCHED)
    world.rebate("b tie", [bet], created=DISPATCHED)
    world.rebate("other activity", [bet], created=DISPATCHED, activity="act2")
    world.rebate("next day", [bet], day=NEXT, created=NEXT + DAYS + HOUR / 2)
    world.settle().judge()
    assert {name: verdict.entitled for name, verdict in world.verdicts().items() if name != "failed"} == {
        "z first": D("1.00"),
        "a tie": 0,
        "b tie": 0,
        "other activity": D("1.00"),
    }


def test_a_rebate_of_an_earlier_day_has_claimed_first(world: World) -> None:
    world.rebate("yesterday", [world.bet("b")], day=DAY - DAYS, created=DAY + HOUR)
    world.rebate("today", ["b"])
    world.settle().judge()
    assert set(world.verdicts()) == {"today"}
    assert world.verdict("today").overpaid == D("1.00")


def test_severity_follows_the_money(world: World) -> None:
    for name, over in {"low": "0.99", "medium": "1", "medium 2": "99.99", "high": "100", "under": "-100"}.items():
        world.rebate(name, [world.bet(f"b {name}", "100000")], "100000", str(1000 + D(over)))
    world.settle().judge()
    assert {name: verdict.severity for name, verdict in world.verdicts().items()} == {
        "low": "low",
        "medium": "medium",
        "medium 2": "medium",
        "high": "high",
        "under": "high",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"timezone": "Mars/Olympus"},
        {"bet_lookback": timedelta(seconds=-1)},
        {"judge_after": timedelta(seconds=-1)},
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError)):
        ReconSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"places": -1}, {"places": 13}, {"mode": "up"}])
def test_senseless_rounding_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rounding(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [D(-1), D("NaN"), D("Infinity")])
@pytest.mark.parametrize("name", ["turnover", "turnover_relative", "amount", "amount_relative"])
def test_senseless_tolerances_are_refused(name: str, wrong: D) -> None:
    with pytest.raises(ValueError, match=name):
        tolerance(**{name: wrong})
