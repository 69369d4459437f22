"""The days that a run's verdicts concern: whose figures they change, and whose statements would say something else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import psycopg

from tieout.core.recon.daily import statement


def days_of_verdicts(connection: psycopg.Connection, *, kind: str) -> set[date]:
    """Return the days whose tie-out the verdicts change: those of changed rebates, before and after.

    A run in full writes all days it judges.
    """
    rows = connection.execute(_JUDGED if kind == "full" else _CHANGED).fetchall()
    return {day for (day,) in rows}


def days_told(connection: psycopg.Connection) -> set[date]:
    """Return the days whose statement may say something else although their figures stay."""
    return {day for (day,) in connection.execute(statement("breaks/told_days.sql")).fetchall()}


def over_and_underpaid(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """Return (day, currency, overpaid, underpaid) of ``days``: what the statements of later days show of them."""
    return set(connection.execute(_OVER_AND_UNDERPAID, parameters).fetchall())


_JUDGED = "SELECT DISTINCT day FROM judge_groups"

_CHANGED = """
SELECT day FROM judge_verdicts WHERE NOT counts_the_same
UNION
SELECT day_before FROM judge_verdicts WHERE day_before <> day
"""

_OVER_AND_UNDERPAID = """
SELECT day, currency, overpaid, underpaid FROM recon.daily
WHERE agent = %(agent)s AND day = ANY(%(days)s::date[])
"""
