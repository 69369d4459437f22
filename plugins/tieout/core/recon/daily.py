"""The daily figures of a Lucko agent: tie-out, bridge, unclaimed turnover and claim rates, replaced day by day.

They are functions of staging, the settings and the verdicts on the days' rebates. They are written in the judge's
transaction, so that they are of one snapshot with the verdicts. What became of a day's bets is kept added up
(recon.day_sums): a run that knows what moved changes these sums, and reads no bet that did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import errors, sql
from sqlalchemy import URL

from tieout.core.errors import FatalError
from tieout.core.planner import planned_with
from tieout.core.warehouse import connect

#: What is replaced, in the order it is written: the statement and its table.
FIGURES = (
    ("daily", "daily"),
    ("bridge", "bridge"),
    ("unclaimed", "unclaimed"),
    ("activities", "activity_daily"),
)
#: What is gathered before the days' bets are added up, in order: the bets that are looked at one by one.
ONE_BY_ONE = ("day_away", "day_several")
#: The constraint of recon.bridge that says so.
CLOSES = "ck_bridge_closes"
_DAY_SUMS = sql.SQL("day, currency, game_id, user_id, activity_id, is_dated, fate, bets, turnover")


def write_days(
    connection: psycopg.Connection, parameters: Mapping[str, Any], *, many: bool = False, moved: bool = False
) -> None:
    """Replace the daily figures of ``days``; the verdicts on all their rebates must stand in recon.rebates.

    *parameters*: agent, run_id, loads (those no run has consumed), days (dates) and settings (the JSON text of
    ReconSettings); *many*: the days have a good part of the agent's bets; *moved*: ``gather_moves`` has found what
    moved. The caller commits. Raises FatalError when a bridge does not close (staging and verdicts are not of one
    state then), or when a figure breaks another constraint.
    """
    connection.execute(statement("figures/day_tables.sql"))
    kept = _kept_days(connection, parameters) if moved else []
    whole = [day for day in parameters["days"] if day not in kept]
    for table in ONE_BY_ONE:
        step = "day_several_all" if many and table == "day_several" else table
        connection.execute(statement(f"figures/{step}.sql"), parameters)
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
    for step in ("day_claims", "day_rebates"):
        connection.execute(statement(f"figures/{step}.sql"), parameters)
    try:
        if whole:
            _add_up(connection, {**parameters, "days": whole}, many=many)
        if kept:
            _change_sums(connection, {**parameters, "kept": kept})
        connection.execute(statement("figures/day_sums_several.sql"), parameters)
        connection.execute("ANALYZE day_sums")
        for name, table in FIGURES:
            _delete_days(connection, table, parameters)
            connection.execute(statement(f"figures/{name}.sql"), parameters)
    except errors.CheckViolation as error:
        raise _not_written(error, parameters["agent"]) from error
    connection.execute("DROP TABLE IF EXISTS day_grouped, day_away, day_several, day_claims, day_rebates, day_sums")


def gather_moves(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> list[date] | None:
    """Find what ``loads`` moved in the daily figures; return the days it moved in, in order.

    None when the history does not tell what it was before: a load added to the past, or old states were shed.
    *parameters*: agent, run_id, loads, settings. recon.shared_bets must be up to date with the loads.
    """
    connection.execute(statement("figures/moved_rebates.sql"), parameters)
    connection.execute(statement("figures/moved_bets.sql"), parameters)
    connection.execute("ANALYZE moved_bets")
    if not _told(connection, parameters):
        return None
    connection.execute(statement("figures/moved_states.sql"), parameters)
    return [day for (day,) in connection.execute(statement("figures/moved_days.sql")).fetchall()]


def _told(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> bool:
    row = connection.execute(statement("figures/moved_told.sql"), parameters).fetchone()
    return row is not None and bool(row[0])


def _kept_days(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> list[date]:
    """Return those of the days whose stored sums only lack what moved."""
    return [day for (day,) in connection.execute(statement("figures/day_kept.sql"), parameters).fetchall()]


def _add_up(connection: psycopg.Connection, parameters: Mapping[str, Any], *, many: bool) -> None:
    """Add up whole days into day_sums and keep the sums.

    Many bets become few groups, whatever the planner expects: they need no sorting.
    """
    if many:
        with planned_with(connection, enable_sort="off", parallel_tuple_cost="0"):
            connection.execute(statement("figures/day_grouped.sql"), {**parameters, **_bounds(connection, parameters)})
        connection.execute(statement("figures/day_sums_all.sql"), parameters)
    else:
        with planned_with(connection, enable_sort="off", enable_mergejoin="off"):
            connection.execute(statement("figures/day_sums.sql"), parameters)
    _delete_days(connection, "day_sums", parameters)
    connection.execute(
        sql.SQL(
            "INSERT INTO recon.day_sums (agent, {0}, run_id) SELECT %(agent)s, {0}, %(run_id)s FROM day_sums"
        ).format(_DAY_SUMS),
        parameters,
    )


def _change_sums(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> None:
    """Bring the stored sums of ``kept`` days to what moved, and take them into day_sums."""
    connection.execute(statement("figures/day_moved.sql"), parameters)
    connection.execute(
        sql.SQL(
            """INSERT INTO day_sums ({0})
               SELECT {0} FROM recon.day_sums WHERE agent = %(agent)s AND day = ANY(%(kept)s::date[])"""
        ).format(_DAY_SUMS),
        parameters,
    )


def _delete_days(connection: psycopg.Connection, table: str, parameters: Mapping[str, Any]) -> None:
    connection.execute(
        sql.SQL("DELETE FROM {} WHERE agent = %(agent)s AND day = ANY(%(days)s::date[])").format(
            sql.Identifier("recon", table)
        ),
        parameters,
    )


def _not_written(error: errors.CheckViolation, agent: str) -> FatalError:
    if error.diag.constraint_name == CLOSES:
        return FatalError(
            f"the bridge from bet turnover to rebated turnover does not close for agent {agent}: "
            f"{error.diag.message_detail}.",
            advice="Some verdicts of the day are older than its bets: judge the day in full.",
        )
    return FatalError(
        f"the daily figures of agent {agent} break the constraint {error.diag.constraint_name} of "
        f"{error.diag.schema_name}.{error.diag.table_name}: {error.diag.message_detail}.",
        advice="The warehouse refuses what was computed: compare its constraints with the migrations.",
    )


def _bounds(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> dict[str, list[Any]]:
    row = connection.execute(statement("figures/day_bounds.sql"), parameters).fetchone()
    assert row is not None
    return dict(zip(("bounds", "numbers", "labels"), row, strict=True))


def all_days(connection: psycopg.Connection, *, agent: str, timezone: str) -> list[date]:
    """Return every day (in *timezone*) that may have figures or has them, in order."""
    rows = connection.execute(statement("figures/day_list.sql"), {"agent": agent, "timezone": timezone})
    return [day for (day,) in rows]


def touched_days(connection: psycopg.Connection, *, agent: str, loads: Sequence[int], timezone: str) -> list[date]:
    """Return the days (in *timezone*) whose figures the given loads may have changed, in order."""
    parameters = {"agent": agent, "loads": list(loads), "timezone": timezone}
    return [day for (day,) in connection.execute(statement("figures/touched_days.sql"), parameters).fetchall()]


def unclaimed_bets(
    url: str | URL, *, agent: str, day: date, timezone: str, currency: str, user_id: str
) -> list[str]:  # fmt: skip
    """Return the ids of the settled bets behind a row of recon.unclaimed, in order."""
    parameters = {"agent": agent, "day": day, "timezone": timezone, "currency": currency, "user_id": user_id}
    with connect(url) as connection:
        return [
            bet_id for (bet_id,) in connection.execute(statement("figures/unclaimed_bets.sql"), parameters).fetchall()
        ]


@cache
def statement(name: str) -> sql.SQL:
    """Return a statement of this package, named by its path in it."""
    return sql.SQL(files("tieout.core.recon").joinpath(name).read_text(encoding="utf-8"))
