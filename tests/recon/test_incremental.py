"""After any sequence of loads and restatements, incremental verdicts = full verdicts = the rules read plainly."""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_rules import Found, Paid, State, judge
from scenes import examples
from world import DAY, DAYS, HOUR, LAG, MINUTE, NEEDED, NEXT, World, tolerance

from readings import Reading
from tieout.core.recon import RunSummary
from tieout.core.recon import judge as judging

D = Decimal
START, LATER = NEEDED
ALL_DAYS = [(DAY + n * DAYS).date() for n in range(-1, 3)]
CENTS = st.sampled_from((D(0), D(10), D(10), D(25), D("0.01"), D(-5)))


@dataclass
class Played:
    """A world to which things happen, one after the other; keeps every state of a bet that was read."""

    world: World
    clock: datetime = START
    histories: dict[str, list[State]] = field(default_factory=lambda: defaultdict(list))
    unread: list[tuple[datetime, datetime]] = field(default_factory=list)
    calls: int = 0

    def change_bet(self, name: str, turnover: D, status: int, user: str, currency: str, *, silent: bool) -> None:
        """Place a bet or change it; *silent*: without telling by its update_time."""
        known = {bet["id"]: bet for bet in self.world.bets}
        updated = self.clock
        if name in known:
            user, currency = known[name]["user_id"], known[name]["currency"]
            if silent:
                updated = datetime.fromtimestamp(known[name]["update_time"] / 1000, tz=self.clock.tzinfo)
        self.world.bet(name, str(turnover), user=user, currency=currency, status=status, updated=updated)
        self.read(updated, updated + HOUR)

    def read(self, start: datetime, end: datetime) -> None:
        """Read bets now, later than all before, and note what was seen."""
        self.clock = max(self.clock, end)
        self.calls += 1
        pulled = self.clock + LAG + self.calls * timedelta(seconds=1)
        self.world.read_bets(start, end, pulled=pulled)
        for bet in self.world.bets:
            moment = datetime.fromtimestamp(bet["update_time"] / 1000, tz=start.tzinfo)
            if start <= moment < end:
                self._note(bet, moment, pulled)

    def _note(self, bet: dict[str, Any], moment: datetime, pulled: datetime) -> None:
        state = State(
            user=bet["user_id"], currency=bet["currency"], status=bet["status"], changed=moment, pulled=pulled,
            turnover=D(bet["valid_bet_turnover"]), stake=D(bet["bet_amount"]),
        )  # fmt: skip
        history = self.histories[bet["id"]]
        same = history and (history[-1].status, history[-1].turnover, history[-1].changed) == (
            state.status, state.turnover, state.changed,
        )  # fmt: skip
        if not same:
            history.append(state)

    def read_rebates(self) -> None:
        """Read all rebates now, later than all before: of two states read at one instant none is newer."""
        self.calls += 1
        self.world.read_rebates(pulled=NEXT + 5 * DAYS + self.calls * timedelta(seconds=1))

    def skip(self) -> None:
        """Leave an hour unread."""
        self.unread.append((self.clock, self.clock + HOUR))
        self.clock += HOUR

    def read_what_was_left(self) -> None:
        for start, end in self.unread:
            self.read(start, end)
        self.unread.clear()

    def read_the_rest(self) -> None:
        """Read everything the rebates need."""
        self.read_what_was_left()
        end = max(self.clock + HOUR, NEXT + 12 * HOUR)
        self.world.read_bets(self.clock, end, pulled=end + LAG)
        # What was read late asks for the hours up to then.
        self.world.read_bets(end, end + 2 * HOUR, pulled=end + 2 * HOUR)
        self.read_rebates()

    def expected(self) -> dict[str, Found]:
        """What the plain rules say of every rebate."""
        rebates = [
            Paid(
                id=row["id"], user=row["user_id"], currency=row["currency"], activity=row["activity_id"],
                day=datetime.fromtimestamp(row["date"] / 1000, tz=DAY.tzinfo), turnover=D(row["turnover"]),
                rate=D(row["rate"]), amount=D(row["rebate_amount"]), status=row["status"],
                created=datetime.fromtimestamp(row["create_time"] / 1000, tz=DAY.tzinfo), bets=tuple(row["txn_ids"]),
                wallet=row.get("wallet_txn_id", ""),
            )
            for row in self.world.rebates
        ]  # fmt: skip
        return {rebate.id: judge(rebate, rebates, self.histories) for rebate in rebates}

    def found(self) -> dict[str, Found]:
        """What the judge says of every rebate."""
        parts: dict[tuple[str, str], dict[tuple[str, str], tuple[D, str, bool]]] = defaultdict(dict)
        for row in self.world.rows("recon.break_components", "rebate_id, of, kind, bet_id"):
            parts[row["rebate_id"], row["of"]][row["kind"], row["bet_id"]] = (
                row["amount"], row["evidence"], row["is_fact"],
            )  # fmt: skip
        return {
            name: Found(
                verdict=verdict.verdict,
                reasons=frozenset(verdict.reasons),
                difference=verdict.difference,
                entitled_turnover=verdict.entitled_turnover,
                overpaid=verdict.overpaid,
                of_difference=dict(parts[name, "difference"]),
                of_entitlement=dict(parts[name, "entitlement"]),
            )
            for name, verdict in self.world.verdicts().items()
        }


# ------------------------------------------------------------------------------------------------- what may happen

BETS = ("b0", "b1", "b2", "b3")
NAMED = (*BETS, *BETS, "phantom")


@st.composite
def bet_changes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    return "bet", {
        "name": draw(st.sampled_from(BETS)),
        "turnover": draw(CENTS),
        "status": draw(st.sampled_from((1, 1, 1, 1, 0, 2, 4))),
        "user": draw(st.sampled_from(("u1", "u1", "u1", "u2"))),
        "currency": draw(st.sampled_from(("USD", "USD", "USD", "VND2"))),
        "silent": draw(st.integers(0, 4)) == 0,
    }


@st.composite
def rebate_changes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    turnover = draw(st.sampled_from((D(10), D(20), D(35), D(45), D("10.01"), D(0))))
    amount = (turnover / 100).quantize(D("0.01")) + draw(st.sampled_from((0, 0, 0, 0, 1)))
    return "rebate", {
        "id": f"r{draw(st.integers(0, 3))}",
        "bets": draw(st.lists(st.sampled_from(NAMED), max_size=3)),
        "turnover": str(turnover),
        "amount": str(amount),
        "user": draw(st.sampled_from(("u1", "u1", "u1", "u2"))),
        "activity": draw(st.sampled_from(("act", "act", "other"))),
        "status": draw(st.sampled_from((1, 1, 1, 1, 0))),
        "wallet": draw(st.sampled_from((None, None, None, "shared", ""))),
    }


EVENTS = st.one_of(
    bet_changes(), bet_changes(), rebate_changes(), rebate_changes(), st.just(("skip", {})), st.just(("late", {})),
    st.just(("judge", {})), st.just(("full", {})),
)  # fmt: skip


def play(played: Played, kind: str, how: dict[str, Any]) -> None:
    if kind == "bet":
        played.change_bet(**how)
    elif kind == "rebate":
        known = {row["id"]: row for row in played.world.rebates}
        number = int(how["id"][1:])
        # Whose, of which activity and when stay what they were, as with the provider.
        first = known.get(how["id"])
        fixed = {"user": first["user_id"], "activity": first["activity_id"]} if first else {}
        created = NEXT + (30 + 150 * number) * MINUTE
        played.world.rebate(**{**how, **fixed}, created=created)
        played.read_rebates()
    elif kind == "skip":
        played.skip()
    elif kind == "late":
        played.read_what_was_left()
    elif kind == "judge":
        played.world.rejudge()
    else:
        played.world.judge(DAY.date())


@settings(
    # The same few on every run; when more are asked for, others each time.
    max_examples=examples(6), deadline=None, derandomize="TIEOUT_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(events=st.lists(EVENTS, min_size=3, max_size=10))
def test_incremental_equals_full_equals_the_rules(
    events: list[tuple[str, dict[str, Any]]], reading: type[Reading], db: psycopg.Connection
) -> None:
    world = World(reading, db, agent=f"seq-{uuid.uuid4().hex[:12]}")
    world.declare()
    played = Played(world)
    play(played, *("judge", {}))
    for kind, how in events:
        play(played, kind, how)
        if kind == "judge":
            assert same_as_full(world)
    played.read_the_rest()
    world.rejudge()
    assert same_as_full(world)
    assert played.found() == played.expected()


def same_as_full(world: World) -> bool:
    """Whether judging everything in full, as few and as many rebates are judged, finds what incremental runs did."""
    before = rows(world)
    few = world.judge(*ALL_DAYS)
    same = few.changed == 0 and rows(world) == before
    with patch.multiple(judging, MANY_KEYS=0, GOOD_PART=0):
        many = world.judge(*ALL_DAYS)
    return same and many.changed == 0 and rows(world) == before


def rows(world: World) -> list[Any]:
    tables = {
        "recon.rebates": "rebate_id", "recon.break_components": "rebate_id, of, kind, bet_id",
        "recon.breaks": "break_id", "recon.daily": "day, currency", "recon.bridge": "day, currency",
        "recon.unclaimed": "day, currency, user_id", "recon.activity_daily": "day, currency, activity_id",
    }  # fmt: skip
    return [
        [{key: row[key] for key in row.keys() - {"run_id"}} for row in world.rows(table, order)]
        for table, order in tables.items()
    ] + [world.events()]


# ------------------------------------------------------------------------------------------------- what is judged


@pytest.fixture
def settled(world: World) -> World:
    """Three rebates, judged once incrementally."""
    for name in ("r1", "r2", "r3"):
        world.rebate(name, [world.bet(f"b of {name}")])
    world.settle().rejudge()
    return world


def judged(world: World, run: RunSummary) -> int:
    assert same_as_full(world)
    return run.judged


def test_the_first_run_judges_everything_and_the_next_nothing(settled: World) -> None:
    assert set(settled.verdicts()) == {"r1", "r2", "r3"}
    assert judged(settled, settled.rejudge()) == 0


def test_a_changed_bet_judges_the_rebates_that_name_it(settled: World) -> None:
    settled.bet("b of r2", "90", updated=LATER)
    settled.read_bets(LATER, LATER + HOUR)
    run = settled.rejudge()
    assert (run.judged, run.changed, run.broken) == (1, 1, 1)
    assert same_as_full(settled)


def test_reading_the_same_again_judges_nothing(settled: World) -> None:
    settled.read_bets(DAY, NEXT, pulled=NEXT + DAYS)
    assert judged(settled, settled.rejudge()) == 0


def test_other_settings_or_another_declaration_judge_everything(settled: World) -> None:
    assert settled.rejudge(tolerances=tolerance(turnover=D(1))).judged == 3
    assert settled.rejudge(tolerances=tolerance(turnover=D(1))).judged == 0
    settled.judge(DAY.date())
    assert settled.rejudge(tolerances=tolerance(turnover=D(1))).judged == 3
    settled.declare(start=DAY - 29 * DAYS)
    assert settled.rejudge(tolerances=tolerance(turnover=D(1))).judged == 3


def test_a_partner_that_no_longer_shares_is_judged_too(settled: World) -> None:
    settled.rebate("r2", ["b of r1"], wallet="w-r1")
    settled.read_rebates()
    assert settled.rejudge().changed == 1
    assert settled.verdict("r2").outcome == "break: paid_twice reused_bet wallet_txn_reused"
    settled.rebate("r1", ["b of r2"], wallet="w-new")
    settled.read_rebates()
    settled.rejudge()
    assert settled.verdict("r2").outcome == "matched"
    assert same_as_full(settled)


def test_a_certificate_alone_decides_what_waited_for_it(world: World) -> None:
    world.declare()
    world.rebate("r", [world.bet("b")])
    world.read_rebates()
    world.read_bets(START, NEXT)
    world.rejudge()
    assert world.verdict("r").verdict == "pending"
    world.read_bets(NEXT, LATER)
    world.read_bets(LATER, LATER + HOUR)
    run = world.rejudge()
    assert (run.judged, run.matched) == (1, 1)
    assert same_as_full(world)


def test_time_alone_makes_an_unsettled_bet_overdue(world: World) -> None:
    world.rebate("r", [world.bet("b", status=0)])
    world.settle().rejudge()
    assert world.verdict("r").outcome == "pending"
    world.read_bets(LATER, DAY + 15 * DAYS)
    world.rejudge()
    found = world.verdict("r")
    assert (found.outcome, found.unsettled_ids, found.pending_reason) == ("break: unsettled_bet", ["b"], "unsettled")
    assert same_as_full(world)


def test_an_unread_hour_keeps_an_unsettled_bet_from_being_accused(world: World) -> None:
    world.rebate("r", [world.bet("b", status=0)])
    world.settle()
    world.read_bets(LATER, LATER + 2 * DAYS)
    world.read_bets(LATER + 2 * DAYS + HOUR, DAY + 15 * DAYS)
    world.rejudge()
    assert world.verdict("r").outcome == "pending"
    world.read_bets(LATER + 2 * DAYS, LATER + 2 * DAYS + HOUR)
    world.rejudge()
    assert world.verdict("r").outcome == "break: unsettled_bet"


def test_what_is_lost_meanwhile_is_found_without_a_load_of_its_slice(world: World) -> None:
    world.declare(reach=timedelta(days=90))
    world.rebate("r", ["phantom"])
    world.read_rebates()
    world.read_bets(START, NEXT)
    world.rejudge()
    world.read_bets(NEXT + 100 * DAYS, NEXT + 100 * DAYS + HOUR)
    world.rejudge()
    found = world.verdict("r")
    assert (found.outcome, found.waits_for) == ("unprovable", None)
    assert [(gap.lower, gap.upper) for gap in found.lost_slices] == [(NEXT, NEXT + 2 * HOUR)]
    assert same_as_full(world)


def test_a_rejected_bet_is_judged_when_it_is_set_aside_and_when_it_is_read_cleanly(settled: World) -> None:
    settled.bet("b of r1", valid_bet_turnover="NaN")
    settled.read_bets(DAY, NEXT, pulled=NEXT + DAYS)
    settled.rejudge()
    assert settled.verdict("r1").pending_reason == "rejected"
    settled.bet("b of r1")
    settled.read_bets(DAY, NEXT, pulled=NEXT + 2 * DAYS)
    settled.rejudge()
    assert settled.verdict("r1").outcome == "matched"
    assert same_as_full(settled)


# ------------------------------------------------------------------------------------------------------ nothing missed


def test_loads_that_commit_while_a_run_reads_are_left_to_the_next(settled: World, db: psycopg.Connection) -> None:
    """The run is held after its snapshot is taken; a load commits; the run neither sees nor consumes it."""
    settled.bet("b of r1", "90", updated=LATER)
    settled.read_bets(LATER, LATER + HOUR)
    db.execute("BEGIN")
    db.execute("LOCK TABLE recon.runs IN EXCLUSIVE MODE")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(settled.rejudge)
        while not db.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'recon.runs'::regclass"
        ).fetchone():
            assert not run.done(), run.result()
        settled.bet("b of r2", "90", updated=LATER + HOUR)
        settled.read_bets(LATER + HOUR, LATER + 2 * HOUR)
        db.execute("COMMIT")
        assert run.result(timeout=60).judged == 1
    assert {name: verdict.verdict for name, verdict in settled.verdicts().items()} == {
        "r1": "break", "r2": "matched", "r3": "matched",
    }  # fmt: skip
    assert settled.rejudge().changed == 1
    assert settled.verdict("r2").verdict == "break"
    assert same_as_full(settled)


def test_a_load_that_commits_out_of_order_is_not_missed(settled: World, db: psycopg.Connection, warehouse: Any) -> None:
    """A lower load_id commits after a higher one was consumed: what counts is what no run has consumed."""
    (early,) = db.execute(
        """INSERT INTO ops.loads (reading_id, provider, feed, agent) VALUES ('early', 'lucko', 'bets', 'elsewhere')
           RETURNING load_id"""
    ).fetchone() or (0,)
    settled.bet("b of r1", "90", updated=LATER)
    settled.read_bets(LATER, LATER + HOUR)
    assert settled.rejudge().judged == 1
    db.execute("UPDATE ops.loads SET agent = %s WHERE load_id = %s", (settled.agent, early))
    db.execute(
        """UPDATE staging.lucko_bets SET valid_bet_turnover = 50, load_id = %s WHERE agent = %s AND id = 'b of r2'""",
        (early, settled.agent),
    )
    assert settled.rejudge().changed == 1
    assert settled.verdict("r2").difference == D(50)


def test_every_load_is_consumed_once(settled: World, db: psycopg.Connection) -> None:
    for n in range(3):
        settled.read_bets(LATER + n * HOUR, LATER + (n + 1) * HOUR)
        settled.rejudge()
    known = {row["load_id"] for row in settled.rows("ops.loads", "load_id")}
    consumed = [row["load_id"] for row in settled.rows("recon.run_inputs", "load_id")]
    assert sorted(known) == consumed


def test_a_run_keeps_what_it_saw(settled: World) -> None:
    settled.read_bets(LATER, LATER + HOUR)
    settled.judge(DAY.date())
    full = settled.rows("recon.runs", "run_id")[-1]
    news = {row["load_id"] for row in settled.rows("ops.loads", "load_id")} - {
        row["load_id"] for row in settled.rows("recon.run_inputs", "load_id")
    }
    assert (full["kind"], set(full["also_saw"])) == ("full", news)
    (slices,) = full["slices"]
    assert (slices.lower, slices.upper) == (START, LATER)
    assert full["days"] == [date(2026, 3, 10)]
