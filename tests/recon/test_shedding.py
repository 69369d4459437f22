"""Old rows are shed: what was found out about their days stands, and the judge goes on with the days after them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import psycopg
import pytest
from world import DAY, DAYS, HOUR, LAG, MINUTE, NEXT, World, outcomes

from tieout.__main__ import main
from tieout.core import shedding
from tieout.core.errors import ConfigError
from tieout.core.recon import judge_days
from tieout.core.recon.mart import MartSettings, refresh_mart
from tieout.core.recon.settings import ReconSettings, Tolerance
from tieout.core.shedding import Shed, shed

OLD = DAY - 10 * DAYS
CUTOFF = DAY - DAYS
FIGURES = {
    "recon.daily": "day, currency", "recon.bridge": "day, currency", "recon.unclaimed": "day, currency, user_id",
    "recon.activity_daily": "day, currency, activity_id", "recon.day_sums": "1, 2, 3, 4, 5, 6, 7, 8",
    "mart.turnover_daily": "day, user_id, currency, game",
}  # fmt: skip
KEPT = ["pending", "pays first", "reaches on", "shares a bet", "shares a wallet", "unknown bet"]


def read(world: World, *, pulled: timedelta = timedelta(0)) -> None:
    world.read_bets(OLD - 3 * DAYS, NEXT + 2 * HOUR, pulled=NEXT + 2 * HOUR + LAG + pulled)
    world.read_bets(NEXT + 2 * HOUR, NEXT + 3 * HOUR, pulled=NEXT + 3 * HOUR + LAG + pulled)
    world.read_rebates(OLD - DAYS, NEXT + 2 * HOUR, pulled=NEXT + 3 * HOUR + LAG + pulled)


def rebate(world: World, id: str, *bets: str, day: Any = OLD, **values: Any) -> None:
    world.rebate(
        id, bets, str(100 * len(bets)), day=day, created=day + DAYS + values.pop("late", 30 * MINUTE), **values
    )


@pytest.fixture
def world(world: World) -> World:
    """A closed-to-be day and an open one, and rebates that lead from one to the other in every way."""
    for id in ("gone 1", "gone 2", "loose", "shared", "of a wallet", "of a payment", "of another user"):
        world.bet(id, updated=OLD + 12 * HOUR)
    world.bet("unsettled", status=0, updated=OLD + 12 * HOUR)
    for id in ("open", "next"):
        world.bet(id, updated=DAY + 12 * HOUR)
    rebate(world, "gone", "gone 1", "gone 2")
    rebate(world, "broken", "of another user", user="u2")
    rebate(world, "unknown bet", "nowhere")
    rebate(world, "pending", "unsettled", activity="paid", wallet="w")
    rebate(world, "pays first", "of a payment", activity="paid", late=MINUTE)
    rebate(world, "shares a bet", "shared")
    rebate(world, "shares a wallet", "of a wallet", wallet="w of today")
    # Dispatched for the old day, of a bet that is counted today.
    rebate(world, "reaches on", "next", day=CUTOFF - DAYS, activity="late")
    rebate(world, "today", "open", day=DAY, wallet="w of today")
    rebate(world, "again", "shared", day=DAY)
    world.declare(OLD - 30 * DAYS)
    read(world)
    world.rejudge()
    refresh(world)
    return world


def refresh(world: World, timezone: str = "UTC") -> None:
    refresh_mart(world.reading.warehouse, provider="lucko", agent=world.agent, settings=MartSettings(timezone=timezone))


def figures(world: World, *, closed: bool) -> dict[str, list[dict[str, Any]]]:
    return {
        table: [row for row in world.rows(table, order) if (row["day"] < CUTOFF.date()) == closed]
        for table, order in FIGURES.items()
    }


def shed_all(world: World) -> Shed:
    return shed(world.reading.warehouse, agent=world.agent, before=CUTOFF.date())


def stored(world: World, table: str, column: str = "id") -> list[str]:
    return sorted({row[column] for row in world.rows(f"staging.lucko_{table}", column)})


def test_what_no_run_needs_goes_and_everything_found_out_stands(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, before, said = world.rows("ops.readings", "1, 5"), figures(world, closed=True), outcomes(world)
    assert said["pending"] == "pending"
    assert said["broken"] == "break: foreign_bet"
    assert said["again"] == "break: reused_bet"
    assert said["today"] == "break: wallet_txn_reused"
    # So that each batch leaves some.
    monkeypatch.setattr(shedding, "REBATES", 3)
    monkeypatch.setattr(shedding, "BETS", 2)
    url = world.reading.warehouse.render_as_string(hide_password=False)
    assert main(["--warehouse", url, "shed", "--agent", world.agent, "--before", str(CUTOFF.date())]) == 0
    assert "2 rebates and 4 bets were shed" in capsys.readouterr().out
    assert stored(world, "rebates") == stored(world, "rebate_versions") == sorted([*KEPT, "again", "today"])
    assert stored(world, "bets") == stored(world, "bet_versions") == sorted(
        {row["bet_id"] for row in world.rows("staging.lucko_rebate_bets", "1")} - {"nowhere"}
    )  # fmt: skip
    assert shed_all(world).rebates == shed_all(world).bets == 0
    assert world.rows("ops.readings", "1, 5") == ledger
    assert (figures(world, closed=True), outcomes(world)) == (before, said)


def test_judging_goes_on_and_leaves_closed_days_as_they_are(world: World) -> None:
    before, said = figures(world, closed=True), outcomes(world)
    shed_all(world)
    # A kept one is decided, shed rows come again, one of them restated, and a rebate that no run has seen.
    world.bet("unsettled", updated=NEXT + 3 * HOUR + MINUTE, settled=OLD + 12 * HOUR)
    world.bet("gone 1", "70", updated=OLD + 13 * HOUR)
    rebate(world, "new", "gone 2")
    world.bet("open", "40", updated=NEXT + 3 * HOUR + MINUTE, settled=DAY + 12 * HOUR)
    world.read_bets(NEXT + 3 * HOUR, NEXT + 4 * HOUR)
    read(world, pulled=DAYS)
    assert world.rejudge().days == (DAY.date(),)
    assert outcomes(world) == said | {"pending": "matched", "today": "break: turnover wallet_txn_reused"}
    assert world.daily()[DAY.date(), "USD"]["bet_turnover"] == 140
    assert figures(world, closed=True) == before
    # Other settings, then another declaration: everything that is open is judged again.
    lenient = {"default": Tolerance(turnover=D(100))}
    assert world.rejudge(tolerances=lenient).judged == 2
    world.declare(OLD - 30 * DAYS, stop=NEXT + 10 * DAYS)
    assert world.rejudge(tolerances=lenient).days == (DAY.date(),)
    # The open day in full, and by another timezone; what it says of the old ones stands.
    settings = ReconSettings(timezone="Asia/Shanghai")
    judge_days(world.reading.warehouse, agent=world.agent, days=[DAY.date()], settings=settings)
    refresh(world)
    refresh(world, "Asia/Shanghai")
    assert figures(world, closed=True) == before
    with pytest.raises(ConfigError, match=r"closed, their rows were shed"):
        world.judge(OLD.date(), DAY.date())


def test_open_figures_are_those_of_all_rows(world: World) -> None:
    world.judge(DAY.date())
    before = {table: [dict(row, run_id=0) for row in rows] for table, rows in figures(world, closed=False).items()}
    shed_all(world)
    world.judge(DAY.date())
    world.rejudge(bet_lookback=3 * DAYS)
    after = {table: [dict(row, run_id=0) for row in rows] for table, rows in figures(world, closed=False).items()}
    assert after == before


def test_a_rebate_moves_between_open_and_closed_days(world: World) -> None:
    shed_all(world)
    rebate(world, "again", "shared", day=OLD)
    world.rebates[-1]["create_time"] = int((NEXT + 30 * MINUTE).timestamp() * 1000)
    read(world, pulled=DAYS)
    world.rejudge()
    assert world.verdict("again").day == OLD.date()
    world.judge(DAY.date())


def test_days_are_not_closed_before_their_time(world: World, db: psycopg.Connection) -> None:
    with pytest.raises(ConfigError, match="not declared"):
        shed(world.reading.warehouse, agent="nobody", before=CUTOFF.date())
    world.declare(OLD - 30 * DAYS, reach=5 * DAYS)
    with pytest.raises(ConfigError, match=r"still answers.*The newest --before is 2026-03-06"):
        shed_all(world)
    world.declare(OLD - 30 * DAYS)
    world.bet("loose", "70", updated=OLD + 13 * HOUR)
    read(world, pulled=DAYS)
    with pytest.raises(ConfigError, match="0 rebates and 1 bets"):
        shed_all(world)
    world.rejudge()
    with pytest.raises(ConfigError, match="0 rebates and 1 bets"):
        shed_all(world)
    assert db.execute("SELECT count(*) FROM ops.shed WHERE agent = %s", (world.agent,)).fetchone() == (0,)
    refresh(world)
    assert shed_all(world).bets == 4
