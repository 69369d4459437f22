"""Refresh an agent's part of mart.turnover_daily and check its rows, for what was loaded since the last time.

A run takes in every committed load that no run has taken in before, so no load is missed however commits interleave,
and rebuilds the days these loads touched as a whole: the mart is a function of staging and settings. With other
settings every day is rebuilt, but for closed ones: their rows may be gone from staging.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import IsolationLevel
from psycopg.types.json import Jsonb
from sqlalchemy import URL

from tieout.core.recon.closed import closed_before
from tieout.core.recon.daily import statement
from tieout.core.recon.integrity import IntegritySettings, check_rows
from tieout.core.recon.statement_due import note_statements
from tieout.core.warehouse import connect

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MartSettings:
    """``timezone`` decides the days of feeds that report instants; JDB's report dates are days already."""

    timezone: str = "UTC"
    integrity: IntegritySettings = field(default_factory=IntegritySettings)

    def __post_init__(self) -> None:
        ZoneInfo(self.timezone)

    def as_json(self) -> dict[str, Any]:
        """Return what a rebuild depends on."""
        return {"timezone": self.timezone, "integrity": self.integrity.as_json()}


@dataclass(frozen=True, kw_only=True)
class RefreshSummary:
    """What a refresh did: loads taken in, days rebuilt (in order), integrity breaks that stand now."""

    loads: int
    days: tuple[date, ...]
    integrity_breaks: int

    def __str__(self) -> str:
        return f"{self.loads} loads taken in, {len(self.days)} days rebuilt, {self.integrity_breaks} rows contradictory"


def refresh_mart(url: str | URL, *, provider: str, agent: str, settings: MartSettings) -> RefreshSummary:
    """Bring an agent's part of the mart and its integrity breaks up to date, in one transaction.

    Raises Unreachable when the warehouse is lost; nothing is written then.
    """
    with connect(url, autocommit=True) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        # Before the transaction begins, so that its snapshot is never older than the lock.
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"tieout:mart:{provider}:{agent}",))
        with connection.transaction():
            summary = _refresh(connection, provider, agent, settings)
    log.info("%s %s: %s", provider, agent, summary)
    return summary


def _refresh(connection: psycopg.Connection, provider: str, agent: str, settings: MartSettings) -> RefreshSummary:
    parameters: dict[str, Any] = {
        "provider": provider,
        "agent": agent,
        "timezone": settings.timezone,
        "settings": Jsonb(settings.as_json()),
    }
    parameters["full"] = _settings_differ(connection, parameters)
    parameters["loads"] = [
        load_id
        for (load_id,) in connection.execute(
            """SELECT load_id FROM ops.loads AS l
               WHERE provider = %(provider)s AND agent = %(agent)s
                 AND (%(full)s OR NOT EXISTS (
                     SELECT FROM mart.inputs AS i
                     WHERE i.provider = l.provider AND i.agent = l.agent AND i.load_id = l.load_id
                 ))
               ORDER BY load_id""",
            parameters,
        )
    ]
    parameters["closed"] = closed_before(connection, provider=provider, agent=agent)
    days = _touched(connection, parameters)
    connection.execute(
        """DELETE FROM mart.turnover_daily
           WHERE provider = %(provider)s AND agent = %(agent)s AND (%(full)s OR day = ANY(%(days)s::date[]))
             AND day >= coalesce(%(closed)s::date, '-infinity')""",
        {**parameters, "days": days},
    )
    connection.execute(statement(f"marts/{provider}.sql"), {**parameters, "days": days})
    breaks = check_rows(
        connection,
        provider=provider,
        agent=agent,
        loads=parameters["loads"],
        timezone=settings.timezone,
        settings=settings.integrity,
    )
    _remember(connection, parameters)
    # Of a rebated agent the trend shows recon.daily, of all others the turnover.
    in_trend = () if provider == "lucko" else days
    note_statements(connection, provider=provider, agent=agent, days=days, in_trend=in_trend)
    return RefreshSummary(loads=len(parameters["loads"]), days=tuple(days), integrity_breaks=breaks)


def _settings_differ(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> bool:
    """Whether the mart was built with other settings, or never."""
    row = connection.execute(
        """SELECT FROM mart.refreshes
           WHERE provider = %(provider)s AND agent = %(agent)s AND settings = %(settings)s""",
        parameters,
    ).fetchone()
    return row is None


def _touched(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> list[date]:
    if not parameters["loads"]:
        return []
    found = connection.execute(statement(f"marts/{parameters['provider']}_days.sql"), parameters).fetchall()
    closed = parameters["closed"]
    return sorted(day for (day,) in found if closed is None or day >= closed)


def _remember(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> None:
    connection.execute(
        """INSERT INTO mart.inputs (provider, agent, load_id)
           SELECT %(provider)s, %(agent)s, load_id FROM unnest(%(loads)s::bigint[]) AS l (load_id)
           ON CONFLICT DO NOTHING""",
        parameters,
    )
    connection.execute(
        """INSERT INTO mart.refreshes (provider, agent, settings, refreshed_at)
           VALUES (%(provider)s, %(agent)s, %(settings)s, now())
           ON CONFLICT (provider, agent) DO UPDATE
               SET settings = excluded.settings, refreshed_at = excluded.refreshed_at""",
        parameters,
    )
