"""Finds the causes of alerts: a function of the ledger, the quota rows and the breaks as they stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from tieout.core.alerts.settings import AlertSettings


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One thing that is wrong. ``cause`` names it within its ``kind``: the same name is the same cause.

    ``since`` and ``until`` are the time concerned (of ``losing``: the oldest open instant, and when it is forgotten).
    For ``throttled``, ``feed`` is the endpoint and ``agent`` the merchant id; for ``late``, ``feed`` is the DAG's work.
    """

    kind: str
    cause: str
    provider: str
    feed: str
    agent: str
    since: datetime | None
    until: datetime | None
    detail: str


def find_causes(connection: psycopg.Connection, settings: AlertSettings) -> list[Cause]:
    """Return every cause that stands, ordered by kind and name; reads only."""
    query = sql.SQL(files("tieout.core.alerts").joinpath("causes.sql").read_text(encoding="utf-8"))
    parameters = {
        **settings.as_parameters(),
        "overpaid": json.dumps({currency: str(amount) for currency, amount in settings.overpaid.items()}),
    }
    with connection.cursor(row_factory=class_row(Cause)) as cursor:
        return cursor.execute(query, parameters).fetchall()
