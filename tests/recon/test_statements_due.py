"""Which statements are written anew: all that would differ, whatever it is that changed, and few others."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from world import DAY, DAYS, HOUR, NEEDED, NEXT, World

from tieout.core import storage
from tieout.core.recon import BreakKey, accept_break
from tieout.core.recon.mart import MartSettings, refresh_mart
from tieout.core.recon.statement import StatementOf, write_statement
from tieout.core.recon.statement_due import Due, read_due, take_away
from tieout.core.warehouse import connect

D = Decimal
TODAY = DAY.date()
LATER = NEEDED[1]


def due(world: World, base: Path, provider: str = "lucko") -> Due:
    return read_due(world.reading.warehouse, provider=provider, agent=world.agent, base=base)


def write_due(world: World, base: Path) -> list[date]:
    """Write what is due as the operator does; return the days."""
    found = due(world, base)
    for day in found.days:
        write_statement(world.reading.warehouse, StatementOf(provider="lucko", agent=world.agent, day=day), base)
    take_away(world.reading.warehouse, found)
    return list(found.days)


def written(world: World, base: Path, day: date = TODAY) -> str:
    return (base / "statements" / "lucko" / world.agent / f"{day}.html").read_text()


def accept(world: World, *, until: timedelta | None = None) -> None:
    accept_break(
        world.db, BreakKey(agent=world.agent, rebate_id="r", reason="amount"), by="ann", reason="known",
        expires_at=datetime.now(UTC) + until if until else None,
    )  # fmt: skip


def test_whatever_the_statement_shows_makes_it_due(world: World, tmp_path: Path) -> None:
    """A certificate, an acceptance, its end, an older state: none of them moves a figure of the day."""
    world.bet("b", "90")
    world.rebate("r", ["b"], "100", "5.00")
    world.declare()
    world.read_bets(NEEDED[0], LATER - HOUR)
    world.read_rebates()
    world.rejudge()
    assert world.verdict("r").outcome == "break: amount"
    assert write_due(world, tmp_path) == [TODAY]
    world.rejudge()
    assert write_due(world, tmp_path) == [], "nothing new"

    world.read_bets(LATER - HOUR, LATER)
    run = world.rejudge()
    assert world.verdict("r").outcome == "break: amount turnover"
    assert (run.days, run.statement_days) == ((), (TODAY,))
    assert write_due(world, tmp_path) == [TODAY]
    assert "amount, turnover" in written(world, tmp_path)

    accept(world, until=DAYS)
    run = world.rejudge()
    assert (run.judged, run.statement_days) == (0, ())
    assert write_due(world, tmp_path) == [TODAY]
    assert "accepted, since" in written(world, tmp_path)

    world.db.execute("UPDATE recon.breaks SET accepted_until = now() WHERE agent = %s AND state = 'accepted'",
                     (world.agent,))  # fmt: skip
    run = world.rejudge()
    assert (run.days, run.statement_days) == ((), (TODAY,))
    assert write_due(world, tmp_path) == [TODAY]
    assert "reopened, since" in written(world, tmp_path)


def test_an_older_state_that_comes_late_makes_the_statement_due(world: World, tmp_path: Path) -> None:
    world.bet("b", "90", updated=LATER, settled=DAY + HOUR)
    world.rebate("r", ["b"], "100", "1.00")
    world.settle().read_bets(LATER, LATER + HOUR)
    world.rejudge()
    write_due(world, tmp_path)
    assert "unexplained 10" in written(world, tmp_path)
    world.bet("b", "100", updated=DAY + 12 * HOUR, settled=DAY + HOUR)
    world.read_bets(DAY + 12 * HOUR, DAY + 13 * HOUR, pulled=DAY + 14 * HOUR)
    run = world.rejudge()
    assert world.breaks()["r", "turnover"]["sentence"].endswith("restated 10.")
    assert run.statement_days == (TODAY,)
    assert write_due(world, tmp_path) == [TODAY]
    assert "restated 10" in written(world, tmp_path)


def test_statements_whose_trend_shows_another_figure_are_due(world: World, tmp_path: Path) -> None:
    for age, paid in ((0, "1.30"), (1, "1.00"), (2, "1.00"), (32, "1.00")):
        day = DAY + age * DAYS
        world.rebate(f"r{age}", [], "100", paid, day=day, created=day + DAYS)
    world.settle().read_rebates(DAY, DAY + 40 * DAYS)
    world.rejudge()
    write_due(world, tmp_path)
    (tmp_path / "statements" / "lucko" / world.agent / f"{TODAY + 2 * DAYS}.html").unlink()
    world.rebate("r0", [], "100", "1.20", created=NEXT)
    world.read_rebates(DAY, DAY + 40 * DAYS, pulled=DAY + 41 * DAYS)
    run = world.rejudge()
    assert run.days == run.statement_days == (TODAY,)
    assert write_due(world, tmp_path) == [TODAY, TODAY + DAYS], "not what was never written, nor what is too far away"
    assert "2026-03-10: overpaid 1.20" in written(world, tmp_path, TODAY + DAYS)


def test_what_is_noted_while_a_statement_is_written_stays_due(world: World, tmp_path: Path) -> None:
    world.rebate("r", [], "100", "5.00")
    world.settle().judge()
    seen = due(world, tmp_path)
    accept(world)
    take_away(world.reading.warehouse, seen)
    assert due(world, tmp_path).days == (TODAY,)
    refresh_mart(world.reading.warehouse, provider="lucko", agent=world.agent, settings=MartSettings())
    assert len(due(world, tmp_path).notes) == 2, "the mart's games are on the statement, too"


def test_who_writes_the_same_statement_takes_turns(world: World, tmp_path: Path) -> None:
    """The state written is one read in the own turn, not one from before it."""
    world.rebate("r", [], "100", "5.00")
    world.settle().judge()
    url, of = world.reading.warehouse, StatementOf(provider="lucko", agent=world.agent, day=TODAY)
    with connect(url, autocommit=True) as other:
        turn = f"tieout:statements:lucko:{world.agent}"
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (turn,))
        writer = threading.Thread(target=write_statement, args=(url, of, tmp_path))
        writer.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 20
        while other.execute(waiting).fetchone() == (0,) and time.monotonic() < deadline:
            time.sleep(0.01)
        accept(world)
    writer.join(timeout=20)
    assert "accepted, since" in written(world, tmp_path)


def test_a_statement_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "2026-03-10.html"
    storage.write(path, b"old")

    def killed(file: Path, data: bytes) -> int:
        with file.open("wb") as out:
            out.write(data[:1])
        raise OSError("killed")

    monkeypatch.setattr(Path, "write_bytes", killed)
    with pytest.raises(OSError, match="killed"):
        storage.write(path, b"new")
    assert path.read_bytes() == b"old"
