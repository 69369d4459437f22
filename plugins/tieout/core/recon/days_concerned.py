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


def days_told(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> set[date]:
    """Return the days whose statement may say something else although their figures stay. *parameters*: the run's."""
    return {day for (day,) in connection.execute(statement("told_days.sql"), parameters).fetchall()}


def over_and_underpaid(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """Return (day, currency, overpaid, underpaid) of ``days``: what the statements of later days show of them."""
    return set(connection.execute(_OVER_AND_UNDERPAID, parameters).fetchall())


_JUDGED = "SELECT DISTINCT day FROM judge_keys"

_CHANGED = """
SELECT v.day FROM judge_verdicts v LEFT JOIN recon.rebates r
    ON r.agent = v.agent AND r.rebate_id = v.rebate_id
WHERE (r.day, r.verdict, r.overpaid, r.expected_amount, r.entitled, r.turnover, r.rebate_amount)
    IS DISTINCT FROM
    (v.day, v.verdict, v.overpaid, v.expected_amount, v.entitled, v.turnover, v.rebate_amount)
UNION
SELECT r.day FROM judge_verdicts v JOIN recon.rebates r
    ON r.agent = v.agent AND r.rebate_id = v.rebate_id WHERE r.day <> v.day
"""

_OVER_AND_UNDERPAID = """
SELECT day, currency, overpaid, underpaid FROM recon.daily
WHERE agent = %(agent)s AND day = ANY(%(days)s::date[])
"""
