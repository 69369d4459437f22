"""Which rebates a run of the judge judges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, LiteralString

import psycopg
from psycopg import sql

EVERYTHING = "SELECT * FROM staging.lucko_rebates WHERE agent = {agent}"
CONCERNED = """
SELECT r.* FROM judge_concerned AS c
INNER JOIN staging.lucko_rebates AS r ON r.agent = {agent} AND r.id = c.rebate_id
"""
DAYS = """
SELECT *
FROM staging.lucko_rebates
WHERE agent = {agent} AND date >= {first}::date::timestamp AT TIME ZONE 'UTC'
    AND date < ({last}::date + 1)::timestamp AT TIME ZONE 'UTC'
    AND (date AT TIME ZONE 'UTC')::date = any({days}::date[])
"""
#: Of rebates of closed days, those that are judged all the same: still undecided, or come from an open day.
NOT_CLOSED = """
SELECT *
FROM ({rebates}) AS r
WHERE r.date >= {closed}::date::timestamp AT TIME ZONE 'UTC'
    OR EXISTS (
        SELECT FROM recon.rebates AS v
        WHERE v.agent = r.agent AND v.rebate_id = r.id AND (v.pending_reason IS NOT NULL OR v.day >= {closed}::date)
    )
"""
#: Where rebates have gone that were of the given days when they were judged.
ENTERED = """
SELECT DISTINCT (r.date AT TIME ZONE 'UTC')::date
FROM recon.rebates AS v
INNER JOIN staging.lucko_rebates AS r ON r.agent = v.agent AND r.id = v.rebate_id
WHERE v.agent = %(agent)s AND v.day = any(%(days)s::date[])
    AND (r.date AT TIME ZONE 'UTC')::date <> all(%(days)s::date[])
"""


def choose(connection: psycopg.Connection, rebates: LiteralString, *, closed: date | None, **values: Any) -> None:
    """Have the view judge_chosen hold the rebates of one of the queries above, filled in with *values*.

    A view, because reading a table of ours would keep other processes out. *closed*: days before it are closed.
    """
    query = sql.SQL(rebates).format(**{name: sql.Literal(value) for name, value in values.items()})
    if closed is not None:
        query = sql.SQL(NOT_CLOSED).format(rebates=query, closed=sql.Literal(closed))
    connection.execute(sql.SQL("CREATE TEMP VIEW judge_chosen AS {}").format(query))


def of_days(agent: str, days: Sequence[date]) -> dict[str, Any]:
    """Return what DAYS is filled in with."""
    return {"agent": agent, "days": list(days), "first": min(days, default=None), "last": max(days, default=None)}


def with_days_entered(connection: psycopg.Connection, *, agent: str, days: Sequence[date]) -> list[date]:
    """Return *days* and those that rebates have left them for, in order.

    A rebate that left a day must not leave its verdict behind, and the figures of the day it is in now are only right
    when all verdicts of that day are of the same state.
    """
    days = sorted(days)
    while entered := connection.execute(ENTERED, {"agent": agent, "days": days}).fetchall():
        days = sorted({*days, *(day for (day,) in entered)})
    return days
