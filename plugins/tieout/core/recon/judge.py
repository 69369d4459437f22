"""Run the judge: verdicts, breaks and the daily tie-out of whole settlement days, in one transaction.

Idempotent: judging a day again with nothing changed leaves the same verdicts. REPEATABLE READ, under a session
advisory lock per agent that is taken before the transaction begins, so that the snapshot is never older than the
lock.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import IsolationLevel, sql
from sqlalchemy import URL

from tieout.core.errors import ConfigError
from tieout.core.ledger import is_declared
from tieout.core.recon.settings import ReconSettings
from tieout.core.warehouse import connect

log = logging.getLogger(__name__)

#: What is gathered before the verdicts, in order: the statement and the working table it fills.
GATHERED = (
    ("keys", "judge_keys"),
    ("claimed", "judge_claimed"),
    ("rejected", "judge_rejected"),
    ("sums", "judge_sums"),
    ("coverage", "judge_coverage"),
)


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run came out: counts of rebates by verdict."""

    run_id: int
    judged: int
    matched: int
    pending: int
    broken: int
    unprovable: int
    failed: int

    def __str__(self) -> str:
        return (
            f"run {self.run_id}: {self.judged} rebates judged: {self.matched} matched, {self.broken} broken, "
            f"{self.pending} pending, {self.unprovable} unprovable, {self.failed} failed"
        )


def judge_days(url: str | URL, *, agent: str, days: Sequence[date], settings: ReconSettings) -> RunSummary:
    """Judge every rebate of the given settlement days of a Lucko agent and write their daily tie-out.

    Raises ConfigError when the agent's bets feed is not declared in ops.agents (what was never declared proves
    nothing), Unreachable when the warehouse is lost; nothing is written then.
    """
    with connect(url, autocommit=True) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        _require_declared(connection, agent)
        _refresh_statistics(connection)
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"tieout:recon:{agent}",))
        with connection.transaction():
            summary = _judge(connection, agent, sorted(set(days)), settings)
    log.info("%s", summary)
    return summary


def _refresh_statistics(connection: psycopg.Connection) -> None:
    """Analyse staging tables that have grown since the planner last looked.

    Right after a large load, before autovacuum comes round, it would take them for empty and join them row by row:
    hours instead of seconds.
    """
    stale = connection.execute(
        """SELECT c.relname FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
           WHERE c.relnamespace = 'staging'::regnamespace
             AND c.relname IN ('lucko_bets', 'lucko_rebates', 'lucko_rebate_bets')
             AND (c.reltuples < 0
                  OR pg_relation_size(c.oid) > 1.2 * c.relpages * current_setting('block_size')::int
                  OR s.n_mod_since_analyze > 0.1 * s.n_live_tup)"""
    ).fetchall()
    for (name,) in stale:
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier("staging", name)))


def _require_declared(connection: psycopg.Connection, agent: str) -> None:
    if not is_declared(connection, provider="lucko", agent=agent, feeds=["bets"]):
        raise ConfigError(
            f"the bets feed of the Lucko agent {agent!r} is not declared in the warehouse (ops.agents).",
            advice="Declare the agent in feeds.yaml; its first pull or `python -m tieout migrate` writes it.",
        )


def _judge(connection: psycopg.Connection, agent: str, days: list[date], settings: ReconSettings) -> RunSummary:
    run_id, judged_at = _new_run(connection, agent, days, settings)
    parameters: dict[str, Any] = {
        "agent": agent,
        "run_id": run_id,
        "judged_at": judged_at,
        "days": days,
        "settings": json.dumps(settings.as_json()),
    }
    connection.execute("SET LOCAL work_mem = '64MB'")
    connection.execute(_statement("tables.sql"))
    for step, table in GATHERED:
        # Statistics know nothing of an agent that was loaded a moment ago: the planner takes its links for one row, and
        # would join all of them with all of them. Hashing is never far from the best here.
        nested_loops = "off" if step == "claimed" else "on"
        connection.execute(sql.SQL("SET LOCAL enable_nestloop = {}").format(sql.Literal(nested_loops)))
        connection.execute(_statement(f"{step}.sql"), parameters)
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
    connection.execute(_statement("verdicts.sql"), parameters)
    connection.execute(_statement("standing.sql"), parameters)
    connection.execute("ANALYZE judge_breaks")
    connection.execute(_statement("breaks.sql"), parameters)
    # A rebate that names another day than before leaves one tie-out and joins another.
    (moved_to,) = _one(connection, "SELECT array_agg(DISTINCT day) FROM judge_keys")
    parameters["days"] = sorted({*days, *(moved_to or ())})
    connection.execute("DELETE FROM recon.daily WHERE agent = %(agent)s AND day = ANY(%(days)s::date[])", parameters)
    connection.execute(_statement("daily.sql"), parameters)
    return _finish_run(connection, run_id)


def _one(connection: psycopg.Connection, statement: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(statement).fetchone()
    assert row is not None
    return row


def _statement(name: str) -> sql.SQL:
    return sql.SQL(files("tieout.core.recon").joinpath(name).read_text())


def _new_run(
    connection: psycopg.Connection, agent: str, days: list[date], settings: ReconSettings
) -> tuple[int, datetime]:
    row = connection.execute(
        """INSERT INTO recon.runs (agent, kind, days, config, started_at)
           VALUES (%s, 'full', %s, %s, clock_timestamp()) RETURNING run_id, started_at""",
        (agent, days, json.dumps(settings.as_json())),
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _finish_run(connection: psycopg.Connection, run_id: int) -> RunSummary:
    row = connection.execute(
        """UPDATE recon.runs r SET duration = clock_timestamp() - r.started_at, judged = v.judged,
               matched = v.matched, pending = v.pending, broken = v.broken, unprovable = v.unprovable,
               failed = v.failed
           FROM (SELECT count(*) AS judged,
                        count(*) FILTER (WHERE verdict = 'matched') AS matched,
                        count(*) FILTER (WHERE verdict = 'pending') AS pending,
                        count(*) FILTER (WHERE verdict = 'break') AS broken,
                        count(*) FILTER (WHERE verdict = 'unprovable') AS unprovable,
                        count(*) FILTER (WHERE verdict = 'failed') AS failed
                 FROM recon.rebates WHERE run_id = %(run_id)s) v
           WHERE r.run_id = %(run_id)s
           RETURNING r.run_id, r.judged, r.matched, r.pending, r.broken, r.unprovable, r.failed""",
        {"run_id": run_id},
    ).fetchone()
    assert row is not None
    names = ("run_id", "judged", "matched", "pending", "broken", "unprovable", "failed")
    return RunSummary(**dict(zip(names, row, strict=True)))
