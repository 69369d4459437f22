"""Random worlds of few bets and rebates that name each other in every way, and the daily figures they have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from world import DAY, DAYS, HOUR, NEXT, World

from tieout.core.clock import epoch_ms

D = Decimal
TODAY = DAY.date()
ALL_DAYS = [TODAY + n * DAYS for n in range(-3, 4)]


def examples(number: int) -> int:
    """How many examples a property of whole worlds runs: so many, or what TIEOUT_EXAMPLES says."""
    return int(os.environ.get("TIEOUT_EXAMPLES", number))


FEW = settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Bet:
    id: str
    user: str
    currency: str
    game: str
    turnover: D
    status: int
    placed: datetime
    settled: datetime | None


@dataclass(frozen=True)
class Rebate:
    id: str
    activity: str
    currency: str
    turnover: D
    status: int
    day: datetime
    created: datetime
    bets: tuple[str, ...]


CENTS = st.integers(-500, 50_000).map(lambda cents: D(cents).scaleb(-2))
HOURS = st.integers(-60, 60).map(lambda hours: DAY + hours * HOUR)


@st.composite
def bets(draw: st.DrawFn, number: int) -> Bet:
    return Bet(
        id=f"b{number}",
        user=draw(st.sampled_from(("u1", "u2"))),
        currency=draw(st.sampled_from(("USD", "USD", "VND2"))),
        game=draw(st.sampled_from(("101", "103"))),
        turnover=draw(CENTS),
        status=draw(st.sampled_from((1, 1, 1, 1, 0, 2, 4))),
        placed=draw(HOURS),
        settled=draw(st.one_of(HOURS, HOURS, st.none())),
    )


@st.composite
def rebates(draw: st.DrawFn, number: int) -> Rebate:
    return Rebate(
        id=f"r{number}",
        activity=draw(st.sampled_from(("a1", "a1", "a2"))),
        currency=draw(st.sampled_from(("USD", "USD", "VND2"))),
        turnover=draw(CENTS),
        status=draw(st.sampled_from((1, 1, 1, 0))),
        day=DAY + draw(st.integers(-1, 1)) * DAYS,
        created=NEXT + draw(st.integers(0, 2)) * HOUR,
        bets=tuple(draw(st.lists(st.sampled_from([f"b{n}" for n in range(8)]), max_size=5))),
    )


@dataclass(frozen=True)
class Scene:
    bets: tuple[Bet, ...]
    rebates: tuple[Rebate, ...]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    return Scene(
        bets=tuple(draw(bets(number)) for number in range(draw(st.integers(0, 8)))),
        rebates=tuple(draw(rebates(number)) for number in range(draw(st.integers(0, 5)))),
    )


def write(world: World, scene: Scene) -> None:
    for bet in scene.bets:
        world.bet(
            bet.id, str(bet.turnover), user=bet.user, currency=bet.currency, status=bet.status, game_id=bet.game,
            bet_time=epoch_ms(bet.placed), settle_time=epoch_ms(bet.settled) if bet.settled else 0,
        )  # fmt: skip
    for rebate in scene.rebates:
        world.rebate(
            rebate.id, rebate.bets, str(rebate.turnover), "1", currency=rebate.currency, status=rebate.status,
            day=rebate.day, created=rebate.created, activity=rebate.activity,
        )  # fmt: skip


def figures(world: World) -> dict[tuple[Any, ...], dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for table, key in {
        "recon.bridge": ("day", "currency"),
        "recon.unclaimed": ("day", "currency", "user_id"),
        "recon.activity_daily": ("day", "currency", "activity_id"),
    }.items():
        for row in world.rows(table, "day"):
            found[*(row[name] for name in key), table] = {k: v for k, v in row.items() if k != "run_id"}
    return found
