"""A terse way to write a Lucko agent's bets and rebates for tests; they go through real landing, load and ledger.

The settlement day of all tests is DAY. By default its rebates are dispatched half an hour after its end, and
``settle()`` certifies exactly the slices that judging them needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from readings import Reading, at
from tieout.core.clock import epoch_ms
from tieout.core.errors import SuspectReading
from tieout.core.feed import FeedOptions
from tieout.core.ledger import Certificate, DeclaredFeed, declare
from tieout.core.recon import ReconSettings, RunSummary, judge_days, rejudge
from tieout.core.recon.settings import Tolerance
from tieout.core.slices import Slice
from tieout.providers import feed_spec

HOUR, MINUTE, LAG = timedelta(hours=1), timedelta(minutes=1), timedelta(minutes=2)
DAYS = timedelta(days=1)
DAY = at(2026, 3, 10)
NEXT = DAY + DAYS
DISPATCHED = NEXT + 30 * MINUTE
#: What rebates dispatched at DISPATCHED need: two days back, their hour and the next, and the slice in which the
#: last of these was read.
NEEDED = (DAY - 2 * DAYS, NEXT + 3 * HOUR)


def span(*ranges: tuple[datetime | None, datetime | None]) -> list[tuple[datetime | None, datetime | None]]:
    """Return bounds the way ``Verdict.waits_for`` holds them."""
    return list(ranges)


def tolerance(**amounts: Decimal) -> dict[str, Tolerance]:
    """Return the same tolerance for every currency."""
    return {"default": Tolerance(**amounts)}


@dataclass
class World:
    """One agent's bets and rebates, written down first and read into the warehouse when asked."""

    reading: type[Reading]
    db: psycopg.Connection
    agent: str = "acme"
    bets: list[dict[str, Any]] = field(default_factory=list)
    rebates: list[dict[str, Any]] = field(default_factory=list)

    def declare(
        self, start: datetime = DAY - 30 * DAYS, stop: datetime | None = None, *, width: timedelta = HOUR,
        reach: timedelta | None = None,
    ) -> World:  # fmt: skip
        """Write the agent's bets feed to ops.agents."""
        feed = DeclaredFeed(
            provider="lucko", agent=self.agent, feed="bets", currency=None, start_at=start, stop_at=stop,
            slice_width=width, slice_anchor=timedelta(0), lag=LAG, reach=reach,
        )  # fmt: skip
        declare(self.db, [feed], {})
        return self

    def bet(
        self, id: str, turnover: str = "100", *, user: str = "u1", currency: str = "USD", status: int = 1,
        updated: datetime = DAY + 12 * HOUR, settled: datetime | None = None, **raw: Any,
    ) -> str:  # fmt: skip
        """Write down a bet (or its newer state) and return its id; ``raw`` overrides fields as the provider sends."""
        settle_time = 0 if status == 0 else epoch_ms(settled or updated)
        row = {
            "id": id, "user_id": user, "game_id": "101", "bet_time": epoch_ms(updated), "settle_time": settle_time,
            "bet_amount": turnover, "valid_bet_turnover": turnover, "currency": currency, "status": status,
            "update_time": epoch_ms(updated),
        }  # fmt: skip
        # Its newer states keep the instant it was placed: that never changes.
        row["bet_time"] = next((bet["bet_time"] for bet in self.bets if bet["id"] == id), row["bet_time"])
        self.bets = [bet for bet in self.bets if bet["id"] != id]
        self.bets.append(row | raw)
        return id

    def rebate(
        self, id: str, bets: Iterable[str] = (), turnover: str = "100", amount: str | None = None, *, rate: str = "1",
        user: str = "u1", currency: str = "USD", status: int = 1, day: datetime = DAY,
        created: datetime = DISPATCHED, activity: str = "act", wallet: str | None = None,
    ) -> str:  # fmt: skip
        """Write down a rebate (or its newer state) and return its id; the amount defaults to 1 % in cents."""
        paid = amount if amount is not None else f"{Decimal(turnover) / 100:.2f}"
        row = {
            "id": id, "activity_id": activity, "user_id": user, "date": epoch_ms(day), "currency": currency,
            "turnover": turnover, "rate": rate, "rebate_amount": paid, "status": status,
            "create_time": epoch_ms(created), "txn_ids": list(bets),
        }  # fmt: skip
        if status:
            row["wallet_txn_id"] = f"w-{id}" if wallet is None else wallet
        self.rebates = [rebate for rebate in self.rebates if rebate["id"] != id]
        self.rebates.append(row)
        return id

    def read_bets(
        self, start: datetime, end: datetime, *, pulled: datetime | None = None, problem: str | None = None
    ) -> Certificate | None:
        """Read the bets of ``[start, end)`` by update_time; None when the reading turned out suspect."""
        return self._read("bets", "transactions", self.bets, "update_time", start, end, pulled, problem)

    def read_rebates(
        self, start: datetime | None = None, end: datetime | None = None, *, pulled: datetime | None = None
    ) -> Certificate | None:
        """Read the rebates dispatched in ``[start, end)``, by default a week around the settlement day."""
        start, end = start or DAY - 3 * DAYS, end or DAY + 4 * DAYS
        return self._read("rebates", "list", self.rebates, "create_time", start, end, pulled, None)

    def settle(self) -> World:
        """Read everything judging DAY needs, nothing open; declares the agent unless it is."""
        if not self.db.execute("SELECT 1 FROM ops.agents WHERE agent = %s", (self.agent,)).fetchone():
            self.declare()
        start, end = NEEDED
        self.read_bets(start, end - HOUR)
        self.read_bets(end - HOUR, end)
        self.read_rebates()
        return self

    def judge(self, *days: date, **settings: Any) -> RunSummary:
        """Judge the given days, by default DAY."""
        chosen: Sequence[date] = days or [DAY.date()]
        return judge_days(
            self.reading.warehouse, agent=self.agent, days=chosen, settings=ReconSettings(**settings)
        )  # fmt: skip

    def rejudge(self, **settings: Any) -> RunSummary:
        """Judge what may have changed."""
        return rejudge(self.reading.warehouse, agent=self.agent, settings=ReconSettings(**settings))

    def rows(self, table: str, order: str) -> list[dict[str, Any]]:
        """Return the agent's rows of a table."""
        with self.db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                f"SELECT * FROM {table} WHERE agent = %s ORDER BY {order}", (self.agent,)
            ).fetchall()  # fmt: skip

    def verdicts(self) -> dict[str, Verdict]:
        """Return the verdicts by rebate id."""
        return {row["rebate_id"]: Verdict(row) for row in self.rows("recon.rebates", "rebate_id")}

    def verdict(self, rebate_id: str) -> Verdict:
        """Return one verdict."""
        return self.verdicts()[rebate_id]

    def breaks(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the breaks by (rebate id, reason)."""
        return {(row["rebate_id"], row["reason"]): row for row in self.rows("recon.breaks", "break_id")}

    def events(self) -> list[tuple[str, str, str, Decimal]]:
        """Return the history of breaks: (rebate id, reason, state, amount), oldest first."""
        return self.db.execute(
            """SELECT b.rebate_id, b.reason, e.state, e.amount FROM recon.break_events e
               JOIN recon.breaks b USING (break_id) WHERE b.agent = %s ORDER BY e.event_id""",
            (self.agent,),
        ).fetchall()

    def daily(self) -> dict[tuple[date, str], dict[str, Any]]:
        """Return the daily tie-out by (day, currency)."""
        return {(row["day"], row["currency"]): row for row in self.rows("recon.daily", "day, currency")}

    def _read(
        self, feed: str, key: str, rows: list[dict[str, Any]], position: str, start: datetime, end: datetime,
        pulled: datetime | None, problem: str | None,
    ) -> Certificate | None:  # fmt: skip
        reading = self.reading.of(
            "lucko", feed, start, hours=(end - start) / HOUR, agent=self.agent, requested_at=pulled or end + LAG,
            problem=problem,
        )  # fmt: skip
        for window in feed_spec("lucko", feed).windows(Slice(start, end), FeedOptions()):
            bounds = range(epoch_ms(window.range.start), epoch_ms(window.range.end))
            inside = [row for row in rows if row[position] in bounds]
            reading.answer({"code": 200, "message": "success", "data": {key: inside, "total": len(inside)}})
        with suppress(SuspectReading):
            return reading.load()
        return None


class Verdict:
    """A row of recon.rebates; compares as (verdict, set of reasons)."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row

    def __getattr__(self, name: str) -> Any:
        return self.row[name]

    @property
    def outcome(self) -> str:
        """``matched``, or ``break: amount turnover``: the verdict and its sorted reasons."""
        return ": ".join(filter(None, [self.row["verdict"], " ".join(sorted(self.row["reasons"]))]))

    @property
    def provisional(self) -> list[str]:
        """The sorted reasons that are not proven yet."""
        return sorted(self.row["provisional_reasons"])

    @property
    def waits_for(self) -> list[tuple[datetime | None, datetime | None]] | None:
        """The bounds of the ranges waited for, None when there are none."""
        found = self.row["waits_for"]
        return None if found is None else [(each.lower, each.upper) for each in found]


def outcomes(world: World) -> dict[str, str]:
    """Return every rebate's outcome."""
    return {rebate_id: verdict.outcome for rebate_id, verdict in world.verdicts().items()}
