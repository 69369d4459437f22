"""What a statement tells of one agent and day, read in one snapshot of the warehouse.

Only what the warehouse holds, when a break was found included: nothing of when the statement is written or by which
run, so that the same state of the warehouse gives the same statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import dict_row
from sqlalchemy import URL

from tieout.core.recon.daily import statement
from tieout.core.warehouse import connect

#: How many days the trend shows, the statement's own included.
TREND = 30
#: How many of a rebate's bets are shown; those that a reason is about come first.
SHOWN_BETS = 20

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StatementOf:
    """Whose statement, and of which day; *timezone* is what the day is counted in."""

    provider: str
    agent: str
    day: date
    timezone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class BrokenRebate:
    """A rebate with at least one break that stands: its figures, breaks, components and the bets shown."""

    figures: Row
    breaks: list[Row]
    components: list[Row] = field(default_factory=list)
    bets: list[Row] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class StatementData:
    """All figures of a statement. Lists are ordered; amounts are exact decimals."""

    of: StatementOf
    tie_outs: list[Row]
    undecided: list[Row]
    bridges: list[Row]
    activities: list[Row]
    games: list[Row]
    rebates: list[BrokenRebate]
    integrity: list[Row]
    controls: list[Row]
    trend: dict[str, dict[date, tuple[Decimal, Decimal]]]


@contextmanager
def statement_in_turn(url: str | URL, of: StatementOf) -> Iterator[StatementData]:
    """Read one statement's figures when it is this session's turn, which ends with the context.

    The turn is taken before the snapshot is, so that whoever comes later has read a later state. Raises Unreachable
    when the warehouse is lost.
    """
    with connect(url, autocommit=True) as connection:
        turn = f"tieout:statements:{of.provider}:{of.agent}"
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (turn,))
        yield _read(connection, of)


def _read(connection: psycopg.Connection, of: StatementOf) -> StatementData:
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        reader = _Reader(connection, of)
        is_lucko = of.provider == "lucko"
        return StatementData(
            of=of,
            tie_outs=reader.rows("SELECT * FROM recon.daily WHERE {} ORDER BY currency") if is_lucko else [],
            undecided=reader.rows(
                """SELECT currency, count(*) AS rebates, sum(greatest(overpaid, 0)) AS overpaid,
                       sum(greatest(-overpaid, 0)) AS underpaid
                   FROM recon.rebates WHERE {} AND verdict IN ('pending', 'unprovable')
                   GROUP BY currency HAVING sum(abs(overpaid)) > 0 ORDER BY currency"""
            )
            if is_lucko
            else [],
            bridges=reader.rows("SELECT * FROM recon.bridge WHERE {} ORDER BY currency") if is_lucko else [],
            activities=reader.rows("SELECT * FROM recon.activity_daily WHERE {} ORDER BY currency, activity_id")
            if is_lucko
            else [],
            games=reader.rows(
                """SELECT currency, game, day_rule, sum(bets)::bigint AS bets, sum(turnover) AS turnover,
                       sum(win_loss) AS win_loss, sum(rebate) AS rebate
                   FROM mart.turnover_daily WHERE provider = %(provider)s AND {}
                   GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
            ),
            rebates=reader.broken_rebates() if is_lucko else [],
            integrity=reader.rows(
                """SELECT identity, row_key, feed, game_type, user_id, currency, stated, computed, difference, sentence,
                       state, opened_at
                   FROM recon.integrity_breaks WHERE provider = %(provider)s AND {} AND state <> 'healed'
                   ORDER BY identity, currency, abs(difference) DESC, row_key"""
            ),
            controls=reader.rows(
                """SELECT starts_at, ends_at, state, games, differing, hours_open, control_read_at, hours_read_from,
                       hours_read_to
                   FROM recon.control_totals WHERE provider = %(provider)s AND {} ORDER BY starts_at, ends_at"""
            ),
            trend=reader.trend(),
        )


class _Reader:
    def __init__(self, connection: psycopg.Connection, of: StatementOf) -> None:
        self.connection = connection
        self.of = of
        self.parameters = {
            "provider": of.provider,
            "agent": of.agent,
            "day": of.day,
            "first": of.day - timedelta(days=TREND - 1),
            "shown": SHOWN_BETS,
        }

    def rows(self, query: Any) -> list[Row]:
        """Return a query's rows; ``{}`` in it stands for the agent and the day."""
        if isinstance(query, str):
            query = query.replace("{}", "agent = %(agent)s AND day = %(day)s").encode()
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return list(cursor.execute(query, self.parameters).fetchall())

    def broken_rebates(self) -> list[BrokenRebate]:
        found: dict[str, BrokenRebate] = {}
        for row in self.rows(statement("statements/breaks.sql")):
            rebate = found.setdefault(row["rebate_id"], BrokenRebate(figures=row, breaks=[]))
            rebate.breaks.append(row)
        for row in self.rows(statement("statements/bets.sql")):
            found[row["rebate_id"]].bets.append(row)
        for row in self.rows(
            """SELECT * FROM recon.break_components
               WHERE agent = %(agent)s AND rebate_id IN (
                   SELECT rebate_id FROM recon.breaks WHERE {} AND state <> 'healed')
               ORDER BY rebate_id, of, is_fact DESC, kind, bet_id"""
        ):
            found[row["rebate_id"]].components.append(row)
        return list(found.values())

    def trend(self) -> dict[str, dict[date, tuple[Decimal, Decimal]]]:
        """Return by currency and day: what was over- and underpaid, or the turnover where nothing is rebated."""
        query = (
            b"""SELECT currency, day, overpaid AS up, underpaid AS down FROM recon.daily
                WHERE agent = %(agent)s AND day BETWEEN %(first)s AND %(day)s ORDER BY currency, day"""
            if self.of.provider == "lucko"
            else b"""SELECT currency, day, sum(turnover) AS up, 0::numeric AS down FROM mart.turnover_daily
                     WHERE provider = %(provider)s AND agent = %(agent)s AND day BETWEEN %(first)s AND %(day)s
                     GROUP BY 1, 2 ORDER BY 1, 2"""
        )
        found: dict[str, dict[date, tuple[Decimal, Decimal]]] = defaultdict(dict)
        for row in self.rows(query):
            found[row["currency"]][row["day"]] = (row["up"], row["down"])
        return dict(found)
