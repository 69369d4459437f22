"""Runs of the judge: repeatable, one at a time for each agent, all or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from world import DAY, DAYS, HOUR, NEEDED, NEXT, World, outcomes, tolerance

from readings import Reading
from tieout.core.errors import FatalError, Unreachable
from tieout.core.recon import RunSummary

D = Decimal
TODAY = DAY.date()
DAYS_JUDGED = (TODAY, TODAY + DAYS)
OF_THE_RUN = {"run_id", "judged_at"}


def mixed(world: World) -> World:
    """Two settlement days with every verdict among them."""
    world.declare(start=DAY - DAYS)
    for name, day in {"first": DAY, "second": NEXT}.items():
        created = day + DAYS + HOUR / 2
        world.rebate(f"matched {name}", [world.bet(f"b {name}")], day=day, created=created)
        world.rebate(f"turnover {name}", [world.bet(f"t {name}")], "101", day=day, created=created)
        world.rebate(f"amount {name}", [world.bet(f"a {name}")], "100", "9", day=day, created=created)
        world.rebate(f"void {name}", [world.bet(f"v {name}", status=2)], "100", day=day, created=created)
        world.rebate(f"missing {name}", [world.bet(f"m {name}"), f"phantom {name}"], day=day, created=created)
        world.rebate(f"open {name}", [world.bet(f"o {name}", status=0)], day=day, created=created)
        world.rebate(f"failed {name}", status=0, day=day, created=created)
    world.settle()
    world.read_bets(NEEDED[1], NEEDED[1] + DAYS - HOUR)
    world.read_bets(NEEDED[1] + DAYS - HOUR, NEEDED[1] + DAYS)
    return world


def state(world: World) -> dict[str, list[dict[str, Any]]]:
    """Everything a run writes, without what names the run."""
    tables = {
        "recon.rebates": "rebate_id", "recon.breaks": "break_id", "recon.daily": "day, currency",
    }  # fmt: skip
    found = {
        table: [{key: row[key] for key in row.keys() - OF_THE_RUN} for row in world.rows(table, order)]
        for table, order in tables.items()
    }
    return found | {"events": [{"event": event} for event in world.events()]}


def counts(summary: RunSummary) -> dict[str, int]:
    """Return how many rebates have which verdict."""
    return {name: getattr(summary, name) for name in ("judged", "matched", "pending", "broken", "unprovable", "failed")}


def test_judging_again_changes_nothing(world: World) -> None:
    first = mixed(world).judge(*DAYS_JUDGED)
    before = state(world)
    second = world.judge(*DAYS_JUDGED)
    assert state(world) == before
    assert second.run_id > first.run_id
    assert counts(second) == counts(first)
    assert (first.changed, second.changed) == (14, 0)
    assert {verdict.verdict for verdict in world.verdicts().values()} == {
        "matched", "break", "pending", "unprovable", "failed",
    }  # fmt: skip


def test_days_one_by_one_are_judged_like_days_together(world: World) -> None:
    mixed(world).judge(*DAYS_JUDGED)
    together = state(world)
    for day in reversed(DAYS_JUDGED):
        world.judge(day)
    assert state(world) == together


def test_a_day_named_twice_is_judged_once(world: World) -> None:
    assert mixed(world).judge(TODAY, TODAY).judged == 7
    assert [row["days"] for row in world.rows("recon.runs", "run_id")] == [[TODAY]]


def test_a_run_records_how_it_came_out_and_with_which_settings(world: World) -> None:
    summary = mixed(world).judge(*DAYS_JUDGED, tolerances=tolerance(turnover=D("0.50")), bet_lookback=timedelta(days=3))
    (run,) = world.rows("recon.runs", "run_id")
    names = ("judged", "changed", "matched", "pending", "broken", "unprovable", "failed")
    assert [run[name] for name in names] == [getattr(summary, name) for name in names]
    assert summary.judged == summary.changed == sum(getattr(summary, name) for name in names[2:]) == 14
    assert (run["kind"], run["days"], run["duration"] > timedelta(0)) == ("full", list(DAYS_JUDGED), True)
    assert run["config"]["tolerances"]["default"]["turnover"] == "0.50"
    assert run["config"]["feed"]["slice_width"] == "01:00:00"
    assert run["config"]["bet_lookback_seconds"] == 3 * 86_400
    assert {verdict.run_id for verdict in world.verdicts().values()} == {summary.run_id}
    assert str(summary).startswith(f"run {summary.run_id}: 14 rebates judged, 14 changed: ")


def test_no_day_and_no_rebate_is_an_empty_run(world: World) -> None:
    world.declare()
    assert world.judge(TODAY).judged == 0
    assert world.rows("recon.daily", "day") == []


def test_agents_do_not_see_each_other(world: World, reading: type[Reading], db: psycopg.Connection) -> None:
    """Equal ids everywhere; the other agent's bets, claims and breaks are its own."""
    other = World(reading, db, agent=f"other-{world.agent}")
    other.rebate("r", [other.bet("b", "50")], "50", created=NEXT)
    other.settle().judge()
    world.rebate("r", [world.bet("b", "90")], "100")
    world.settle().judge()
    assert (outcomes(other), outcomes(world)) == ({"r": "matched"}, {"r": "break: turnover"})
    assert world.verdict("r").entitled_turnover == D(90)
    assert other.breaks() == {}
    other.judge()
    assert world.breaks()["r", "turnover"]["state"] == "open"
    assert world.daily()[TODAY, "USD"]["bets"] == 1


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at once, each in a thread, and return their results."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, call) for call in calls]]


def test_two_runs_at_once_both_finish_and_agree(world: World) -> None:
    mixed(world)
    first, second = together(*[lambda: world.judge(*DAYS_JUDGED)] * 2)
    assert counts(second) == counts(first)
    assert first.run_id != second.run_id
    assert len(world.events()) == len(world.breaks()) == 9
    earlier, later = sorted(world.rows("recon.runs", "run_id"), key=lambda run: run["started_at"])
    assert earlier["started_at"] + earlier["duration"] <= later["started_at"]


def waiting(db: psycopg.Connection, judge: Future[Any]) -> int:
    """Return the process id of the session that waits for an advisory lock, once there is one."""
    while not judge.done():
        row = db.execute(
            """SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
               WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"""
        ).fetchone()
        if row is not None:
            return int(row[0])
    raise AssertionError(f"the judge did not wait: {judge.result()}")


def lock(db: psycopg.Connection, world: World, *, take: bool) -> None:
    function = "pg_advisory_lock" if take else "pg_advisory_unlock"
    db.execute(f"SELECT {function}(hashtextextended(%s, 0))", (f"tieout:recon:{world.agent}",))


def test_a_run_sees_what_was_committed_while_it_waited_for_its_turn(world: World, db: psycopg.Connection) -> None:
    world.rebate("r", [world.bet("b", "90")], "100")
    world.settle()
    lock(db, world, take=True)
    with ThreadPoolExecutor(1) as pool:
        judge = pool.submit(world.judge)
        waiting(db, judge)
        world.bet("b", "100", updated=NEEDED[1], settled=DAY + HOUR)
        world.read_bets(NEEDED[1], NEEDED[1] + HOUR)
        lock(db, world, take=False)
        assert judge.result(timeout=60).matched == 1


def test_a_lost_connection_is_retried_later_and_leaves_nothing(world: World, db: psycopg.Connection) -> None:
    world.rebate("r", [world.bet("b")])
    world.settle()
    lock(db, world, take=True)
    with ThreadPoolExecutor(1) as pool:
        judge = pool.submit(world.judge)
        db.execute("SELECT pg_terminate_backend(%s)", (waiting(db, judge),))
        with pytest.raises(Unreachable, match="warehouse"):
            judge.result(timeout=60)
    lock(db, world, take=False)
    assert [world.rows(f"recon.{table}", "1") for table in ("runs", "rebates", "breaks", "daily")] == [[]] * 4
    assert world.judge().matched == 1


def test_an_error_in_the_last_step_undoes_all_steps(world: World, db: psycopg.Connection) -> None:
    world.rebate("r", [world.bet("b", "90")], "100")
    world.settle()
    db.execute(f"ALTER TABLE recon.daily ADD CONSTRAINT refuse CHECK (agent <> '{world.agent}')")
    try:
        with pytest.raises(FatalError, match="break the constraint refuse of"):
            world.judge()
    finally:
        db.execute("ALTER TABLE recon.daily DROP CONSTRAINT refuse")
    assert [world.rows(f"recon.{table}", "1") for table in ("runs", "rebates", "breaks", "daily")] == [[]] * 4
