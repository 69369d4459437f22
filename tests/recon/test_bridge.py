"""The daily bridge from bet turnover to rebated turnover, against a plain computation over lists."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import ALL_DAYS, FEW, TODAY, Bet, Rebate, Scene, bets, figures, rebates, scenes, write
from world import DAY, DAYS, HOUR, NEEDED, NEXT, World

from readings import Reading
from tieout.core.clock import epoch_ms
from tieout.core.recon.daily import touched_days
from tieout.core.warehouse import connect

D = Decimal
ZERO = D(0)
STEPS = (
    "bet_turnover", "unclaimed", "claimed_again", "from_other_days", "to_other_days", "other_currency",
    "turnover_differences", "rebated_turnover", "reused", "undated_bets", "undated_turnover",
)  # fmt: skip


def bridge(world: World) -> dict[tuple[date, str], dict[str, Any]]:
    """Return the stored bridges by (day, currency), steps that are zero left out."""
    return {
        (row["day"], row["currency"]): {name: row[name] for name in STEPS if row[name]}
        for row in world.rows("recon.bridge", "day, currency")
    }


def test_every_step_of_one_day(world: World) -> None:
    noon = DAY + 12 * HOUR
    for id, turnover in {"kept": "100", "unclaimed": "7", "twice": "20", "two activities": "5", "later": "30"}.items():
        world.bet(id, turnover)
    world.bet("earlier", "40", settled=noon - DAYS)
    world.bet("in euros", "11")
    world.bet("undated", "3", settle_time=0)
    world.bet("void", "999", status=3)
    world.rebate("r1", ["kept", "twice", "two activities"], "125.5")
    world.rebate("r2", ["twice", "earlier"], "60", created=NEXT + HOUR)
    world.rebate("r3", ["two activities"], "5", activity="second", created=NEXT + HOUR)
    world.rebate("r4", ["later"], "30", day=NEXT)
    world.rebate("r5", ["in euros", "void"], "9", currency="EUR")
    world.rebate("failed", ["unclaimed"], "7", status=0)
    world.settle().judge(TODAY - DAYS, TODAY, TODAY + DAYS)
    assert bridge(world) == {
        (TODAY - DAYS, "USD"): {"bet_turnover": D(40), "to_other_days": D(40)},
        (TODAY, "EUR"): {"turnover_differences": D(9), "rebated_turnover": D(9)},
        (TODAY, "USD"): {
            "bet_turnover": D(176), "unclaimed": D(10), "claimed_again": D(25), "from_other_days": D(40),
            "to_other_days": D(30), "other_currency": D(11), "turnover_differences": D("0.5"),
            "rebated_turnover": D("190.5"), "reused": D(20), "undated_bets": 1, "undated_turnover": D(3),
        },
        (TODAY + DAYS, "USD"): {"from_other_days": D(30), "rebated_turnover": D(30)},
    }  # fmt: skip


def test_a_settled_bet_without_settle_time_is_of_the_day_it_was_placed(world: World) -> None:
    """Not of the day it changed last: a later correction would move it and open two days again."""
    world.bet("b", "50", settle_time=0, bet_time=epoch_ms(DAY - HOUR), updated=DAY + HOUR)
    world.settle().judge(TODAY - DAYS, TODAY)
    daily = world.daily()
    assert set(daily) == {(TODAY - DAYS, "USD")}
    assert (daily[TODAY - DAYS, "USD"]["bets"], daily[TODAY - DAYS, "USD"]["unclaimed_turnover"]) == (1, D(50))


def test_a_claim_in_another_currency_never_takes_the_place_of_one_that_counts(world: World) -> None:
    world.bet("b", "50")
    world.rebate("euros first", ["b"], "0", currency="EUR")
    world.rebate("dollars", ["b"], "50", created=NEXT + 2 * HOUR)
    world.settle().judge()
    assert bridge(world)[TODAY, "USD"] == {"bet_turnover": D(50), "rebated_turnover": D(50)}
    assert bridge(world)[TODAY, "EUR"] == {}


def test_a_bridge_that_does_not_close_cannot_be_stored(world: World) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle().judge()
    with pytest.raises(psycopg.errors.CheckViolation, match="closes"):
        world.db.execute("UPDATE recon.bridge SET unclaimed = unclaimed + 0.01 WHERE agent = %s", (world.agent,))


# ------------------------------------------------------------------------------------------- random worlds


def expected_bridges(scene: Scene, zone: ZoneInfo) -> dict[tuple[date, str], dict[str, Any]]:
    """Follow every claim by itself."""
    found: dict[tuple[date, str], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(STEPS, ZERO))
    settled = {bet.id: bet for bet in scene.bets if bet.status == 1}
    for rebate in scene.rebates:
        row = found[rebate.day.date(), rebate.currency]
        if rebate.status:
            named = {settled[id] for id in rebate.bets if id in settled}
            own = sum((bet.turnover for bet in named if bet.currency == rebate.currency), ZERO)
            row["rebated_turnover"] += rebate.turnover
            row["turnover_differences"] += rebate.turnover - own
    for bet in settled.values():
        day = (bet.settled or bet.placed).astimezone(zone).date()
        row = found[day, bet.currency]
        row["bet_turnover"] += bet.turnover
        if bet.settled is None:
            row["undated_bets"] += 1
            row["undated_turnover"] += bet.turnover
        for name, amount, where in _steps_of(bet, day, scene.rebates):
            found[where][name] += amount
    return {key: {name: value for name, value in row.items() if value} for key, row in found.items()}


def _steps_of(bet: Bet, day: date, rebates: Iterable[Rebate]) -> Iterable[tuple[str, D, tuple[date, str]]]:
    claims = sorted((r for r in rebates if r.status and bet.id in r.bets), key=lambda r: (r.created, r.id))
    own = [claim for claim in claims if claim.currency == bet.currency]
    home = (day, bet.currency)
    if not claims:
        yield "unclaimed", bet.turnover, home
    elif not own:
        yield "other_currency", bet.turnover, home
    elif own[0].day.date() != day:
        yield "to_other_days", bet.turnover, home
        yield "from_other_days", bet.turnover, (own[0].day.date(), bet.currency)
    for number, claim in enumerate(own[1:], start=1):
        yield "claimed_again", bet.turnover, (claim.day.date(), bet.currency)
        if claim.activity in {earlier.activity for earlier in own[:number]}:
            yield "reused", bet.turnover, (claim.day.date(), bet.currency)


@FEW
@given(scene=scenes(), timezone=st.sampled_from(("UTC", "Asia/Shanghai", "America/New_York")))
def test_bridges_equal_a_plain_computation(
    reading: type[Reading], db: psycopg.Connection, scene: Scene, timezone: str
) -> None:
    world = World(reading, db, agent=f"acme-{uuid.uuid4().hex[:12]}")
    write(world, scene)
    world.settle().judge(*ALL_DAYS, timezone=timezone)
    expected = expected_bridges(scene, ZoneInfo(timezone))
    assert bridge(world) == expected
    for key, row in world.daily().items():
        assert row["bet_turnover"] == expected[key].get("bet_turnover", 0)
        assert row["unclaimed_turnover"] == expected[key].get("unclaimed", 0)
    for currency in ("USD", "VND2"):
        steps = [row for (_, code), row in bridge(world).items() if code == currency]
        assert sum(row.get("from_other_days", 0) for row in steps) == sum(row.get("to_other_days", 0) for row in steps)


# ---------------------------------------------------------------------------------------- which days change


@FEW
@given(scene=scenes(), data=st.data())
def test_days_that_a_load_does_not_touch_keep_theirfigures(
    reading: type[Reading], db: psycopg.Connection, scene: Scene, data: st.DataObject
) -> None:
    """Restating a bet and a rebate changes the figures of touched days only."""
    world = World(reading, db, agent=f"acme-{uuid.uuid4().hex[:12]}")
    write(world, scene)
    world.settle().judge(*ALL_DAYS)
    before = figures(world)
    first_load = db.execute("SELECT max(load_id) FROM ops.loads").fetchone()[0]  # type: ignore[index]
    restated = data.draw(st.sampled_from(scene.bets)) if scene.bets else None
    if restated is not None:
        moved = data.draw(bets(int(restated.id[1:])))
        world.bet(
            restated.id, str(moved.turnover), user=restated.user, currency=restated.currency, status=moved.status,
            game_id=restated.game, bet_time=epoch_ms(restated.placed), updated=NEXT + 4 * HOUR,
            settle_time=epoch_ms(moved.settled) if moved.settled else 0,
        )  # fmt: skip
        world.bets[-1]["bet_time"] = epoch_ms(restated.placed)
    if scene.rebates:
        old = data.draw(st.sampled_from(scene.rebates))
        new = data.draw(rebates(int(old.id[1:])))
        world.rebate(
            old.id, new.bets, str(new.turnover), "1", currency=old.currency, status=new.status, day=new.day,
            created=old.created, activity=old.activity,
        )  # fmt: skip
    world.read_bets(NEEDED[1], NEEDED[1] + 2 * HOUR)
    world.read_rebates()
    loads = [
        id for (id,) in db.execute(
            "SELECT load_id FROM ops.loads WHERE agent = %s AND load_id > %s", (world.agent, first_load)
        )
    ]  # fmt: skip
    touched = touched_days(db, agent=world.agent, loads=loads, timezone="UTC")
    world.judge(*ALL_DAYS)
    after = figures(world)
    changed = {key[0] for key in before.keys() | after if before.get(key) != after.get(key)}
    assert changed <= set(touched)


def test_nothing_loaded_touches_nothing(world: World) -> None:
    world.bet("b")
    world.settle()
    assert touched_days(world.db, agent=world.agent, loads=[], timezone="UTC") == []
    with connect(world.reading.warehouse) as connection:
        loads = [id for (id,) in connection.execute("SELECT load_id FROM ops.loads WHERE agent = %s", (world.agent,))]
        assert touched_days(connection, agent=world.agent, loads=loads, timezone="UTC") == [TODAY]
        assert touched_days(connection, agent="another", loads=loads, timezone="UTC") == []
