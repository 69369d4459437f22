"""What cannot be decided yet, or never: pending and unprovable, and exactly which slices are waited for."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from world import DAY, DAYS, DISPATCHED, HOUR, LAG, MINUTE, NEEDED, NEXT, World, outcomes

from readings import at
from tieout.core.errors import ConfigError
from tieout.core.ledger import is_declared

D = Decimal
FROM, UNTIL = NEEDED
NOON = DAY + 12 * HOUR
MS = timedelta(milliseconds=1)


def covered(world: World, *holes: tuple[datetime, datetime], until: datetime = UNTIL) -> World:
    """Certify ``[FROM, until)`` but the holes: what lies between them in one reading each, the last hour by itself."""
    edges = [FROM, *(edge for hole in sorted(holes) for edge in hole), until]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if start < end - HOUR and end == until:
            world.read_bets(start, end - HOUR)
            start = end - HOUR
        if start < end:
            world.read_bets(start, end)
    return world


# ------------------------------------------------------------------------------------------------- the needed slices


def test_matched_once_everything_needed_is_certified(world: World) -> None:
    world.declare()
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    assert world.judge().pending == 1
    assert world.verdict("r").waits_for == [(FROM, NEXT + 2 * HOUR)]
    covered(world)
    assert world.judge().matched == 1
    found = world.verdict("r")
    assert (found.outcome, found.provisional, found.pending_reason, found.waits_for) == ("matched", [], None, None)


@pytest.mark.parametrize(
    ("hole", "waits_for"),
    [
        ((FROM, FROM + HOUR), (FROM, FROM + HOUR)),
        ((NOON, NOON + 2 * HOUR), (NOON, NOON + 2 * HOUR)),
        ((NEXT + HOUR, NEXT + 2 * HOUR), (NEXT + HOUR, NEXT + 2 * HOUR)),
        ((UNTIL - HOUR, UNTIL), (UNTIL - HOUR, UNTIL)),
    ],
    ids=["first", "middle", "last that meets create_time + 1 h", "later one a changed bet may have moved to"],
)
@pytest.mark.parametrize("present", [True, False], ids=["present", "absent"])
def test_one_uncertified_slice_leaves_a_rebate_pending(
    world: World, hole: tuple[datetime, datetime], waits_for: tuple[datetime, datetime], present: bool
) -> None:
    world.declare()
    bet = world.bet("b", updated=DAY + 5 * HOUR) if present else "absent"
    world.rebate("r", [bet])
    world.read_rebates()
    covered(world, hole)
    world.judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason) == ("pending", "not_fetched")
    assert found.waits_for == [waits_for]
    assert found.provisional == ([] if present else ["missing_bet", "turnover"])
    assert found.severity is None
    assert world.breaks() == {}


def test_several_holes_are_all_waited_for(world: World) -> None:
    world.declare()
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    holes = [(DAY - DAYS, DAY - DAYS + HOUR), (NOON, NOON + HOUR), (NEXT, NEXT + HOUR)]
    covered(world, *holes)
    world.judge()
    assert world.verdict("r").waits_for == holes


@pytest.mark.parametrize("outside", [(FROM - HOUR, FROM), (UNTIL, UNTIL + HOUR)], ids=["before", "after"])
def test_slices_beyond_the_needed_ones_are_not_waited_for(world: World, outside: tuple[datetime, datetime]) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle()
    assert not world.db.execute(
        "SELECT 1 FROM ops.readings WHERE feed = 'bets' AND slice_start < %s AND slice_end > %s",
        (outside[1], outside[0]),
    ).fetchone()
    world.judge()
    assert outcomes(world) == {"r": "matched"}


@pytest.mark.parametrize(
    ("created", "last"),
    [
        (NEXT + 30 * MINUTE, NEXT + 2 * HOUR),
        (NEXT + HOUR - MS, NEXT + 2 * HOUR),
        (NEXT + HOUR, NEXT + 3 * HOUR),
        (NEXT + 3 * DAYS + 59 * MINUTE, NEXT + 3 * DAYS + 2 * HOUR),
    ],
)
def test_the_needed_slices_end_with_the_one_that_meets_an_hour_after_dispatch(
    world: World, created: datetime, last: datetime
) -> None:
    world.declare()
    world.rebate("r", ["absent"], created=created)
    world.read_rebates(NEXT, NEXT + 4 * DAYS)
    world.judge()
    assert world.verdict("r").waits_for == [(FROM, last)]


@pytest.mark.parametrize(
    ("lookback", "first"),
    [
        (timedelta(0), DAY),
        (timedelta(minutes=1), DAY - HOUR),
        (timedelta(hours=1), DAY - HOUR),
        (timedelta(days=7), DAY - 7 * DAYS),
    ],
)
def test_the_needed_slices_begin_with_the_one_that_meets_the_lookback(
    world: World, lookback: timedelta, first: datetime
) -> None:
    world.declare()
    world.rebate("r", ["absent"])
    world.read_rebates()
    world.judge(bet_lookback=lookback)
    assert world.verdict("r").waits_for == [(first, NEXT + 2 * HOUR)]


@pytest.mark.parametrize(
    ("timezone", "first"),
    [
        ("Asia/Shanghai", FROM - 8 * HOUR),
        ("America/New_York", FROM + 4 * HOUR),  # summer time has begun two days earlier
        ("Asia/Kolkata", FROM - 6 * HOUR),  # 18:30 UTC lies in the slice from 18:00
    ],
)
def test_the_settlement_day_begins_in_the_agents_timezone(world: World, timezone: str, first: datetime) -> None:
    world.declare()
    world.rebate("r", ["absent"])
    world.read_rebates()
    world.judge(timezone=timezone)
    found = world.verdict("r")
    assert found.waits_for == [(first, NEXT + 2 * HOUR)]
    assert found.day == DAY.date()  # the rebate's date is a label and never shifted


@pytest.mark.parametrize(
    ("width", "start", "end"),
    [
        (timedelta(minutes=15), FROM, NEXT + timedelta(minutes=105)),
        (timedelta(hours=6), FROM, NEXT + 6 * HOUR),
        (timedelta(days=1), FROM, NEXT + DAYS),
    ],
)
def test_whole_slices_as_declared_are_waited_for(
    world: World, width: timedelta, start: datetime, end: datetime
) -> None:
    world.declare(width=width)
    world.rebate("r", ["absent"])
    world.read_rebates()
    world.judge()
    assert world.verdict("r").waits_for == [(start, end)]


def test_reading_late_asks_for_everything_up_to_that_reading(world: World) -> None:
    """A bet that changed before its slice was first read has moved to any slice up to that reading."""
    world.declare()
    world.rebate("r", ["absent"])
    world.read_rebates()
    world.read_bets(FROM, NEXT + 2 * HOUR, pulled=NEXT + DAYS + 10 * MINUTE)
    world.judge()
    assert world.verdict("r").waits_for == [(NEXT + 2 * HOUR, NEXT + DAYS + HOUR)]
    world.bet("absent", updated=NEXT + DAYS + 5 * MINUTE, settled=NOON)
    world.read_bets(NEXT + 2 * HOUR, NEXT + DAYS + HOUR)
    world.judge()
    assert outcomes(world) == {"r": "matched"}


def test_reading_exactly_at_a_boundary_asks_for_nothing_later(world: World) -> None:
    world.declare()
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    world.read_bets(FROM, NEXT + 2 * HOUR, pulled=NEXT + 2 * HOUR)
    world.judge()
    assert outcomes(world) == {"r": "matched"}


@pytest.mark.parametrize("wider", [timedelta(0), timedelta(hours=9)], ids=["same slice", "wider slice"])
def test_reading_again_later_asks_for_nothing_more(world: World, wider: timedelta) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle()
    world.read_bets(NEEDED[0] - wider, NEXT + 2 * HOUR, pulled=NEXT + 9 * DAYS)
    world.judge()
    assert outcomes(world) == {"r": "matched"}


def test_a_suspect_reading_proves_nothing_until_read_again(world: World) -> None:
    world.declare()
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    covered(world, (NOON, NOON + HOUR))
    assert world.read_bets(NOON, NOON + HOUR, problem="the control total moved") is None
    world.judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason, found.waits_for) == ("pending", "not_fetched", [(NOON, NOON + HOUR)])
    assert (found.difference, found.provisional) == (0, [])
    world.read_bets(NOON, NOON + HOUR, pulled=NEXT + HOUR)
    world.judge()
    assert outcomes(world) == {"r": "matched"}


def test_a_later_suspect_reading_revokes_nothing(world: World) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle()
    assert world.read_bets(NOON, NOON + HOUR, pulled=NEXT + DAYS, problem="the control total moved") is None
    world.judge()
    assert outcomes(world) == {"r": "matched"}


def test_only_this_agents_bets_feed_proves_anything(world: World, reading: type) -> None:
    other = World(reading, world.db, agent=f"other-{world.agent}")
    other.bet("b")
    other.rebate("r", ["b"])
    other.settle().judge()
    world.declare()
    world.rebate("r", ["b"])
    world.read_rebates(FROM, UNTIL)
    world.judge()
    assert outcomes(other) == {"r": "matched"}
    assert outcomes(world) == {"r": "pending"}
    assert world.verdict("r").missing_ids == ["b"]


# --------------------------------------------------------------------------------------------- unsettled and rejected


def test_an_unsettled_bet_leaves_a_rebate_pending_until_it_settles(world: World) -> None:
    world.rebate("r", [world.bet("b", "60"), world.bet("open", "40", status=0)], "100")
    world.settle().judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason) == ("pending", "unsettled")
    # Until when it has to be settled, 14 days after it was placed.
    assert found.waits_for == [(UNTIL, NOON + 14 * DAYS)]
    assert (found.difference, found.provisional) == (D(40), ["turnover"])
    world.bet("open", "40", updated=NEXT + 4 * HOUR)
    world.read_bets(UNTIL, UNTIL + 2 * HOUR)
    world.judge()
    assert outcomes(world) == {"r": "matched"}


def test_an_unsettled_bet_that_changes_nothing_still_leaves_it_pending(world: World) -> None:
    world.rebate("r", [world.bet("b"), world.bet("open", "0", status=0)])
    world.settle().judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason, found.provisional) == ("pending", "unsettled", [])


@pytest.mark.parametrize("how", ["judge", "rejudge"])
def test_what_nobody_can_read_any_more_cannot_tell_that_a_bet_was_settled(world: World, how: str) -> None:
    """An hour in which it may have settled is uncertified: it is waited for, and unprovable once it is lost."""
    judge = getattr(world, how)
    world.rebate("r", [world.bet("open", status=0)])
    world.declare(reach=timedelta(days=90)).settle()
    hole = (NEXT + 5 * DAYS, NEXT + 5 * DAYS + HOUR)
    world.read_bets(UNTIL, hole[0])
    world.read_bets(hole[1], NOON + 15 * DAYS)
    judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason, found.waits_for) == ("pending", "unsettled", [hole])
    world.read_bets(hole[0] + 100 * DAYS, hole[1] + 100 * DAYS)
    judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason, found.waits_for) == ("unprovable", None, None)
    assert [(gap.lower, gap.upper) for gap in found.lost_slices] == [hole]


def test_a_bet_that_had_to_settle_after_the_agents_stop_is_unprovable(world: World) -> None:
    world.declare(stop=UNTIL)
    world.rebate("r", [world.bet("open", status=0)])
    world.settle().rejudge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason, found.waits_for, found.lost_slices) == ("unprovable", None, None, None)
    world.declare()
    world.rejudge()
    assert world.verdict("r").waits_for == [(UNTIL, NOON + 14 * DAYS)]


def test_a_rejected_bet_leaves_a_rebate_pending_until_its_slice_is_read_cleanly(world: World) -> None:
    world.declare()
    world.rebate("r", [world.bet("good", "60"), world.bet("bad", "40", valid_bet_turnover="forty")], "100")
    world.read_rebates()
    covered(world, (NOON, NOON + HOUR))
    assert world.read_bets(NOON, NOON + HOUR) is None
    world.judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason) == ("pending", "rejected")
    assert found.waits_for == [(NOON, NOON + HOUR)]
    assert (found.missing_ids, found.provisional) == ([], ["turnover"])
    world.bet("bad", "40")
    world.read_bets(NOON, NOON + HOUR, pulled=NEXT + HOUR)
    world.judge()
    assert outcomes(world) == {"r": "matched"}


def test_a_bet_rejected_in_a_certified_slice_makes_its_stored_state_doubtful(world: World) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle()
    world.bet("b", valid_bet_turnover="NaN")
    assert world.read_bets(NOON, NOON + HOUR, pulled=NEXT + DAYS) is None
    world.judge()
    found = world.verdict("r")
    assert (found.outcome, found.pending_reason, found.waits_for) == ("pending", "rejected", [(NOON, NOON + HOUR)])


def test_a_newer_state_read_elsewhere_settles_the_doubt(world: World) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle()
    world.bet("b", valid_bet_turnover="NaN")
    world.read_bets(NOON, NOON + HOUR, pulled=NEXT + DAYS)
    world.bet("b", updated=NEXT + 2 * DAYS, settled=NOON)
    world.read_bets(NEXT + 2 * DAYS, NEXT + 2 * DAYS + HOUR)
    world.judge()
    assert outcomes(world) == {"r": "matched"}


def test_a_rejected_bet_that_a_clean_reading_no_longer_shows_is_missing(world: World) -> None:
    world.declare()
    world.rebate("r", [world.bet("bad", valid_bet_turnover="")])
    world.read_rebates()
    covered(world, (NOON, NOON + HOUR))
    world.read_bets(NOON, NOON + HOUR)
    world.bets.clear()
    world.read_bets(NOON, NOON + HOUR, pulled=NEXT + HOUR)
    world.judge()
    assert outcomes(world) == {"r": "break: missing_bet turnover"}


# ------------------------------------------------------------------------------------------------- certain at once


def test_what_needs_no_bet_breaks_at_once(world: World) -> None:
    """Nothing was fetched but the rebates: the amount is wrong whatever the bets turn out to be."""
    world.declare()
    world.rebate("amount", ["absent"], "100", "1.01")
    world.rebate("no bets", turnover="100")
    world.rebate("no bets, right", turnover="0", user="u2")
    world.read_rebates()
    world.judge()
    assert outcomes(world) == {
        "amount": "break: amount",
        "no bets": "break: turnover",
        "no bets, right": "matched",
    }
    found = world.verdict("amount")
    assert (found.provisional, found.pending_reason) == (["missing_bet", "turnover"], "not_fetched")
    assert found.waits_for == [(FROM, NEXT + 2 * HOUR)]
    assert set(world.breaks()) == {("amount", "amount"), ("no bets", "turnover")}


def test_void_and_missing_bets_break_at_once_while_the_sum_waits(world: World) -> None:
    world.rebate("r", [world.bet("void", status=4), world.bet("open", status=0), "phantom"], "300")
    world.settle().judge()
    found = world.verdict("r")
    assert (found.outcome, found.provisional) == ("break: missing_bet voided_bet", ["turnover"])
    world.bet("open", updated=NEXT + 4 * HOUR)
    world.read_bets(UNTIL, UNTIL + 2 * HOUR)
    world.judge()
    assert outcomes(world) == {"r": "break: missing_bet turnover voided_bet"}


# ------------------------------------------------------------------------------------------- start, stop, out of reach


def test_an_absent_bet_is_unprovable_where_the_agent_began_inside_the_lookback(world: World) -> None:
    world.declare(start=DAY - DAYS)
    world.rebate("absent", [world.bet("b"), "older"], "200")
    world.rebate("present", [world.bet("c")])
    world.rebate("amount", [world.bet("d"), "oldest"], "200", "2.01")
    world.settle()
    summary = world.judge()
    assert outcomes(world) == {"absent": "unprovable", "present": "matched", "amount": "break: amount"}
    assert summary.unprovable == 1
    found = world.verdict("absent")
    assert (found.provisional, found.pending_reason, found.waits_for) == ([], None, None)
    assert set(world.breaks()) == {("amount", "amount")}


def test_while_slices_can_still_be_read_it_is_pending_rather_than_unprovable(world: World) -> None:
    world.declare(start=DAY - DAYS)
    world.rebate("r", ["older"])
    world.read_rebates()
    world.judge()
    found = world.verdict("r")
    assert (found.outcome, found.waits_for) == ("pending", [(DAY - DAYS, NEXT + 2 * HOUR)])


def test_a_start_at_the_lookback_proves_that_a_bet_is_missing(world: World) -> None:
    world.declare(start=FROM)
    world.rebate("r", ["phantom"], "0")
    world.settle().judge()
    assert outcomes(world) == {"r": "break: missing_bet"}


def test_a_start_inside_a_slice_answers_from_the_next_slice_on(world: World) -> None:
    """The slice the start cuts is never read, so nothing may wait for it."""
    world.declare(start=FROM + 12 * HOUR + 25 * MINUTE)
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    world.judge()
    assert world.verdict("r").waits_for == [(FROM + 13 * HOUR, NEXT + 2 * HOUR)]


@pytest.mark.parametrize("stop", [NEXT + 2 * HOUR, NEXT + HOUR + MINUTE], ids=["on a boundary", "inside a slice"])
def test_no_slice_after_the_stop_is_waited_for(world: World, stop: datetime) -> None:
    world.declare(stop=stop)
    world.rebate("r", [world.bet("b")])
    world.rebate("phantom", ["phantom"], "0")
    world.read_rebates()
    world.read_bets(FROM, NEXT + 2 * HOUR, pulled=NEXT + 90 * DAYS)
    world.judge()
    assert outcomes(world) == {"r": "matched", "phantom": "break: missing_bet"}


def test_an_absent_bet_is_unprovable_where_the_agent_stopped_before_it_could_be_read(world: World) -> None:
    world.declare(stop=NEXT)
    world.rebate("absent", ["later"])
    world.rebate("present", [world.bet("b")])
    world.read_rebates()
    world.read_bets(FROM, NEXT)
    world.judge()
    assert outcomes(world) == {"absent": "unprovable", "present": "matched"}


def test_what_the_provider_has_forgotten_is_unprovable(world: World) -> None:
    """A hole at noon, and the agent was answered so much later that noon is out of reach."""
    world.declare(reach=timedelta(days=90))
    world.rebate("absent", ["phantom"])
    world.rebate("changed before", [world.bet("early", updated=NOON - HOUR)])
    world.rebate("changed after", [world.bet("late", updated=NOON + 2 * HOUR)])
    world.read_rebates()
    covered(world, (NOON, NOON + HOUR))
    world.judge()
    assert outcomes(world) == dict.fromkeys(("absent", "changed before", "changed after"), "pending")
    world.read_bets(NOON + 90 * DAYS - HOUR, NOON + 90 * DAYS, pulled=NOON + 90 * DAYS + LAG)
    world.judge()
    assert outcomes(world) == {"absent": "unprovable", "changed before": "unprovable", "changed after": "matched"}


def test_without_a_stated_reach_nothing_is_lost(world: World) -> None:
    world.declare(reach=None)
    world.rebate("r", ["phantom"])
    world.read_rebates()
    covered(world, (NOON, NOON + HOUR))
    world.read_bets(DAY + 900 * DAYS, DAY + 900 * DAYS + HOUR)
    world.judge()
    assert outcomes(world) == {"r": "pending"}


def test_nothing_is_lost_before_the_agent_was_ever_answered(world: World) -> None:
    world.declare(reach=timedelta(days=90))
    world.rebate("r", ["phantom"])
    world.read_rebates()
    world.db.execute("DELETE FROM ops.readings WHERE agent = %s", (world.agent,))
    world.judge()
    assert outcomes(world) == {"r": "pending"}


def test_a_suspect_slice_out_of_reach_can_still_be_replayed(world: World) -> None:
    world.declare(reach=timedelta(days=90))
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    covered(world, (NOON, NOON + HOUR))
    world.read_bets(NOON, NOON + HOUR, problem="the control total moved")
    world.read_bets(DAY + 200 * DAYS, DAY + 200 * DAYS + HOUR)
    world.judge()
    assert (world.verdict("r").outcome, world.verdict("r").waits_for) == ("pending", [(NOON, NOON + HOUR)])


def test_an_agent_that_was_never_declared_cannot_be_judged(world: World) -> None:
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    with pytest.raises(ConfigError, match=rf"'{world.agent}' is not declared .*feeds\.yaml"):
        world.judge()
    assert world.rows("recon.runs", "run_id") == []


def test_a_feed_that_was_never_declared_is_not_taken_for_complete(world: World) -> None:
    world.declare()
    assert is_declared(world.db, provider="lucko", agent=world.agent, feeds=["bets"])
    assert not is_declared(world.db, provider="lucko", agent=world.agent, feeds=["bets", "rebates"])
    assert not is_declared(world.db, provider="lucko", agent="nobody", feeds=["bets"])


def test_a_rebate_dispatched_before_its_own_day_is_judged_by_its_dispatch(world: World) -> None:
    world.declare()
    created = at(2026, 3, 1, 10, 30)
    world.rebate("r", ["absent"], created=created)
    world.read_rebates(created - HOUR / 2, created + HOUR / 2)
    world.judge()
    assert world.verdict("r").waits_for == [(at(2026, 3, 1, 10), at(2026, 3, 1, 12))]
    assert created < DISPATCHED
