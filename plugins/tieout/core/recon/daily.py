"""The daily figures of a Lucko agent: tie-out, bridge, unclaimed turnover and claim rates, replaced day by day.

They are functions of staging, the settings and the verdicts on the days' rebates. They are written in the judge's
transaction, so that they are of one snapshot with the verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import errors, sql
from sqlalchemy import URL

from tieout.core.errors import FatalError
from tieout.core.warehouse import connect

#: What is replaced, in the order it is written: the statement and its table.
FIGURES = (
    ("daily", "daily"),
    ("bridge", "bridge"),
    ("unclaimed", "unclaimed"),
    ("activities", "activity_daily"),
)
#: What is gathered of the days' bets, in order: statements and the working tables of the same names.
GATHERED = ("day_away", "day_several", "day_claims", "day_sums")
#: With more settled bets than this, joining them one by one through an index is the slower way, whatever outdated
#: statistics say of the agent.
MANY_BETS = 100_000


def write_days(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> None:
    """Replace the daily figures of ``days``; the verdicts on all their rebates must stand in recon.rebates.

    *parameters*: agent, run_id, days (dates) and settings (the JSON text of ReconSettings). The caller commits.
    Raises FatalError when a bridge does not close: staging and verdicts are not of one state then.
    """
    connection.execute(statement("day_tables.sql"))
    connection.execute(statement("day_bets.sql"), parameters)
    connection.execute("ANALYZE day_bets")
    row = connection.execute("SELECT count(*) > %s FROM day_bets", (MANY_BETS,)).fetchone()
    connection.execute(sql.SQL("SET LOCAL enable_nestloop = {}").format(sql.Literal("off" if row and row[0] else "on")))
    for name in GATHERED:
        connection.execute(statement(f"{name}.sql"), parameters)
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))
    connection.execute("SET LOCAL enable_nestloop = on")
    for _, table in FIGURES:
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE agent = %(agent)s AND day = ANY(%(days)s::date[])").format(
                sql.Identifier("recon", table)
            ),
            parameters,
        )
    try:
        for name, _ in FIGURES:
            connection.execute(statement(f"{name}.sql"), parameters)
    except errors.CheckViolation as error:
        raise FatalError(
            f"the bridge from bet turnover to rebated turnover does not close for agent {parameters['agent']}: "
            f"{error.diag.message_detail}.",
            advice="Some verdicts of the day are older than its bets: judge the day in full.",
        ) from error
    connection.execute("DROP TABLE day_bets, day_away, day_several, day_claims, day_sums")


def touched_days(connection: psycopg.Connection, *, agent: str, loads: Sequence[int], timezone: str) -> list[date]:
    """Return the days (in *timezone*) whose figures the given loads may have changed, in order."""
    parameters = {"agent": agent, "loads": list(loads), "timezone": timezone}
    return [day for (day,) in connection.execute(statement("touched_days.sql"), parameters).fetchall()]


def unclaimed_bets(
    url: str | URL, *, agent: str, day: date, timezone: str, currency: str, user_id: str
) -> list[str]:  # fmt: skip
    """Return the ids of the settled bets behind a row of recon.unclaimed, in order."""
    parameters = {"agent": agent, "day": day, "timezone": timezone, "currency": currency, "user_id": user_id}
    with connect(url) as connection:
        return [bet_id for (bet_id,) in connection.execute(statement("unclaimed_bets.sql"), parameters).fetchall()]


def statement(name: str) -> sql.SQL:
    """Return a statement of this package, named by its path in it."""
    return sql.SQL(files("tieout.core.recon").joinpath(name).read_text(encoding="utf-8"))
