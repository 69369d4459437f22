"""Daily figures changed by what loads moved are those of the whole days added up again."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import ALL_DAYS, FEW, TODAY, Scene, bets, figures, rebates, scenes, write
from world import DAY, DAYS, HOUR, MINUTE, NEEDED, NEXT, World

from readings import Reading
from tieout.core.errors import FatalError
from tieout.core.recon import daily

D = Decimal


def stored(world: World) -> dict[Any, Any]:
    """Return all daily figures and the sums they are made of, but for the runs that wrote them."""
    tables = {"recon.day_sums": "day", "recon.daily": "day, currency"}
    rows = {
        table: [{name: value for name, value in row.items() if name != "run_id"} for row in world.rows(table, order)]
        for table, order in tables.items()
    }
    return {table: sorted(map(str, found)) for table, found in rows.items()} | figures(world)


def same_added_up(world: World) -> bool:
    """Whether all days added up as a whole have the figures that stand."""
    before = stored(world)
    world.judge(*ALL_DAYS)
    return stored(world) == before


class Changed:
    """Counts the runs that changed stored sums, and their days."""

    def __init__(self) -> None:
        self.days: list[list[date]] = []
        self._change_sums = daily._change_sums

    def __call__(self, connection: psycopg.Connection, parameters: dict[str, Any]) -> None:
        self.days.append(parameters["kept"])
        self._change_sums(connection, parameters)


@pytest.fixture
def changed() -> Iterator[Changed]:
    with patch.object(daily, "_change_sums", Changed()) as spy:
        yield spy


# -------------------------------------------------------------------------------------------------- random worlds


@st.composite
def rounds(draw: st.DrawFn, scene: Scene) -> tuple[Scene, tuple[date, ...], bool]:
    """What changes before a run: bets and rebates (new ones, too), days judged in full before it, an old state."""
    new_bets = []
    for number in draw(st.sets(st.integers(0, 9), max_size=4)):
        bet = draw(bets(number))
        # Who placed it where and when never changes.
        new_bets.append(_fixed(bet, scene.bets, ("user", "currency", "game", "placed")))
    new_rebates = []
    for number in draw(st.sets(st.integers(0, 6), max_size=3)):
        new_rebates.append(_fixed(draw(rebates(number)), scene.rebates, ("activity", "currency", "created")))
    in_full = tuple(draw(st.sets(st.sampled_from(ALL_DAYS[1:6]), max_size=2)))
    return Scene(tuple(new_bets), tuple(new_rebates)), in_full, draw(st.integers(0, 5)) == 0


def _fixed(new: Any, known: Iterable[Any], fields: tuple[str, ...]) -> Any:
    old = next((old for old in known if old.id == new.id), new)
    return replace(new, **{name: getattr(old, name) for name in fields})


def happen(world: World, scene: Scene, change: Scene, number: int) -> Scene:
    """Bring a round of changes into the warehouse; return the scene as it is then."""
    moment = NEEDED[1] + number * HOUR
    write(world, change)
    for bet in world.bets:
        if bet["id"] in {new.id for new in change.bets}:
            bet["update_time"] = int((moment + MINUTE).timestamp() * 1000)
    world.read_bets(moment, moment + HOUR)
    world.read_rebates(pulled=NEXT + 5 * DAYS + number * MINUTE)
    kept_bets = tuple(bet for bet in scene.bets if bet.id not in {new.id for new in change.bets})
    kept_rebates = tuple(old for old in scene.rebates if old.id not in {new.id for new in change.rebates})
    return Scene((*kept_bets, *change.bets), (*kept_rebates, *change.rebates))


def test_any_sequence_of_moves_is_the_days_added_up_again(
    reading: type[Reading], db: psycopg.Connection, changed: Changed
) -> None:
    @FEW
    @given(scene=scenes(), data=st.data())
    def play(scene: Scene, data: st.DataObject) -> None:
        world = World(reading, db, agent=f"acme-{uuid.uuid4().hex[:12]}")
        write(world, scene)
        world.settle().rejudge()
        first = list(world.bets)
        for number in range(data.draw(st.integers(1, 4))):
            change, in_full, is_late = data.draw(rounds(scene))
            scene = happen(world, scene, change, number)
            if is_late:
                now, world.bets = world.bets, first
                world.read_bets(NEEDED[0], NEEDED[1] - HOUR, pulled=NEEDED[1] - 2 * HOUR + number * MINUTE)
                world.bets = now
            if in_full:
                world.judge(*in_full)
            world.rejudge()
        assert same_added_up(world)

    play()
    assert changed.days


# ----------------------------------------------------------------------------------------------------- one by one


@pytest.fixture
def judged(world: World) -> World:
    """Two days with a rebate each, judged once."""
    for day, name in ((DAY, "today"), (DAY - DAYS, "yesterday")):
        world.bet(f"b of {name}", updated=day + 12 * HOUR)
        world.rebate(f"r of {name}", [f"b of {name}"], day=day)
    world.settle().rejudge()
    return world


def restate(world: World, bet: str, turnover: str, number: int = 0, **raw: Any) -> None:
    moment = NEEDED[1] + number * HOUR
    world.bet(bet, turnover, updated=moment, settled=DAY + 12 * HOUR, **raw)
    world.read_bets(moment, moment + HOUR)


def test_only_days_in_which_something_moved_are_changed(judged: World, changed: Changed) -> None:
    restate(judged, "b of today", "70")
    judged.rejudge()
    assert changed.days == [[TODAY]]
    assert judged.daily()[TODAY, "USD"]["bet_turnover"] == D(70)
    assert same_added_up(judged)


def test_a_bet_that_is_settled_again_on_another_day_leaves_one_and_enters_the_other(
    judged: World, changed: Changed
) -> None:
    restate(judged, "b of yesterday", "90")
    judged.rejudge()
    assert changed.days == [[TODAY - DAYS, TODAY]]
    assert judged.daily()[TODAY, "USD"]["bet_turnover"] == D(190)
    assert same_added_up(judged)


def test_what_a_run_in_full_took_in_is_not_counted_twice(judged: World, changed: Changed) -> None:
    """It wrote its day with the load that the next incremental run consumes."""
    restate(judged, "b of yesterday", "90")
    judged.judge(TODAY)
    judged.rejudge()
    assert changed.days == [[TODAY - DAYS]]
    assert judged.daily()[TODAY, "USD"]["bet_turnover"] == D(190)
    assert same_added_up(judged)


def test_a_bet_that_a_run_in_full_found_to_be_shared_leaves_the_sums_of_its_day(
    judged: World, changed: Changed
) -> None:
    judged.rebate("again", ["b of yesterday"], day=DAY, created=NEXT + HOUR)
    judged.read_rebates(pulled=NEXT + 6 * DAYS)
    judged.judge(TODAY)
    judged.rejudge()
    assert changed.days == [[TODAY - DAYS]]
    assert {row["day"] for row in judged.rows("recon.day_sums", "day")} == {TODAY}
    assert same_added_up(judged)


def test_a_rebate_that_names_a_bet_no_longer_leaves_it_unclaimed(judged: World, changed: Changed) -> None:
    judged.rebate("r of today", [], day=DAY)
    judged.read_rebates(pulled=NEXT + 6 * DAYS)
    judged.rejudge()
    assert TODAY in changed.days[0]
    assert judged.daily()[TODAY, "USD"]["unclaimed_turnover"] == D(100)
    assert same_added_up(judged)


def test_a_state_that_turns_up_late_has_whole_days_added_up(judged: World, changed: Changed) -> None:
    """What was before the load can then not be told from the history."""
    old = list(judged.bets)
    restate(judged, "b of today", "70")
    judged.bets = [bet | {"win_amount": "1"} for bet in old]
    judged.read_bets(NEEDED[0], NEEDED[1] - HOUR, pulled=NEEDED[1] - 2 * HOUR)
    judged.rejudge()
    assert changed.days == []
    assert judged.daily()[TODAY, "USD"]["bet_turnover"] == D(70)
    assert same_added_up(judged)


def test_shed_history_has_whole_days_added_up(judged: World, changed: Changed) -> None:
    judged.db.execute("DELETE FROM staging.lucko_bet_versions WHERE agent = %s", (judged.agent,))
    restate(judged, "b of today", "70")
    judged.rejudge()
    assert changed.days == []
    assert same_added_up(judged)


def test_a_change_of_details_only_moves_nothing(judged: World, changed: Changed) -> None:
    judged.db.execute("UPDATE ops.loads SET only_appended = true WHERE agent = %s", (judged.agent,))
    details = {"bet_detail": {"banker": 100}}
    judged.bets = [bet | details if bet["id"] == "b of today" else bet for bet in judged.bets]
    before = stored(judged)
    judged.read_bets(NEEDED[0], NEEDED[1] - HOUR, pulled=NEXT + 7 * DAYS)
    judged.rejudge()
    assert changed.days == [[TODAY]]
    assert stored(judged) == before


def test_sums_that_lack_what_moved_stop_the_run(judged: World) -> None:
    judged.db.execute(
        "UPDATE recon.day_sums SET fate = 'to_other_days' WHERE agent = %s AND day = %s", (judged.agent, TODAY)
    )
    restate(judged, "b of today", "70")
    with pytest.raises(FatalError, match=r"recon\.day_sums"):
        judged.rejudge()
    assert judged.judge(TODAY).judged == 1
    judged.rejudge()
    assert same_added_up(judged)


def test_a_run_in_full_judges_the_day_that_a_rebate_has_gone_to_as_a_whole(judged: World) -> None:
    """The figures of that day are written: all of its verdicts have to be of one state."""
    judged.rebate("r of today", [], "5", day=DAY)
    judged.rebate("r of yesterday", ["b of yesterday"], day=DAY)
    judged.read_rebates(pulled=NEXT + 6 * DAYS)
    assert judged.judge(TODAY - DAYS).judged == 2
    assert judged.verdict("r of yesterday").day == TODAY
    judged.rejudge()
    assert same_added_up(judged)
