"""Run the judge: verdicts, components, breaks and the daily figures, in one transaction.

A full run judges every rebate of whole settlement days, an incremental run those whose verdict may have changed since
the runs before it; both are one path from there on. REPEATABLE READ, under a session advisory lock per agent that is
taken before the transaction begins, so that the snapshot is never older than the lock. Judging again with nothing
changed writes nothing but the run, and after a full one that its days' statements are due.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from typing import Any, LiteralString

import psycopg
from psycopg import IsolationLevel, sql
from sqlalchemy import URL

from tieout.core.errors import ConfigError
from tieout.core.ledger import is_declared
from tieout.core.planner import analyze_grown, planned_with
from tieout.core.recon.choice import CONCERNED, DAYS, EVERYTHING, choose, of_days, with_days_entered
from tieout.core.recon.closed import closed_before
from tieout.core.recon.daily import all_days, gather_moves, statement, touched_days, write_days
from tieout.core.recon.days_concerned import days_of_verdicts, days_told, over_and_underpaid
from tieout.core.recon.settings import ReconSettings, fingerprint
from tieout.core.recon.statement_due import note_statements
from tieout.core.recon.stored import VERDICTS_IN_DOUBT, write_verdicts
from tieout.core.warehouse import connect

log = logging.getLogger(__name__)

#: What is gathered of the keys before the verdicts, in order: the statement and the working table it fills.
GATHERED = (
    ("keys/rules", "judge_rules"),
    ("keys/spans", "judge_spans"),
    ("keys/coverage", "judge_coverage"),
    ("verdicts/claimed", "judge_claimed"),
    ("verdicts/repeats", "judge_repeats"),
    ("verdicts/sums", "judge_sums"),
    ("verdicts/odd", "judge_odd"),
    ("verdicts/findings", "judge_findings"),
    ("verdicts/verdicts", "judge_verdicts"),
    ("verdicts/components", "judge_components"),
)
#: The planner only looks at what rows are joined and chosen by: looking at all takes as long as writing them. Of a
#: column that it did not look at it expects 200 values: a join by the agent would seem to leave a 200th of the rows.
LOOKED_AT: Mapping[str, LiteralString] = {
    "judge_keys": "(agent, rebate_id, activity_id, currency, could_hold)",
    "judge_sums": "(rebate_id, odd_ids)",
    "judge_odd": "(agent, rebate_id, bet_id, status)",
    "judge_findings": "(rebate_id)",
    "judge_verdicts": "(agent, rebate_id, verdict, says_the_same)",
    "judge_components": "(agent, rebate_id, of, kind, bet_id)",
    "judge_breaks": "(rebate_id, reason, is_event)",
}
#: The tables that a run reads.
READ = tuple(f"staging.lucko_{name}" for name in ("bets", "bet_versions", "rebates", "rebate_bets"))
#: From this many keys on, the run may use more memory for a sort or a hash, and whole tables may be the faster way.
MANY_KEYS = 20_000
#: Whole tables are the faster way where what is looked up is at least this part of them.
GOOD_PART = 0.25
TEMP_BUFFERS = "256MB"
WORK_MEM, WORK_MEM_MANY = "64MB", "256MB"


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run came out: counts of rebates by verdict; ``changed`` of them have another verdict than before.

    ``days`` are those whose daily figures were written, in order; ``statement_days`` those whose statement may say
    something else: these, and all with a verdict, component, break or event that is another one.
    """

    run_id: int
    judged: int
    changed: int
    matched: int
    pending: int
    broken: int
    unprovable: int
    failed: int
    days: tuple[date, ...]
    statement_days: tuple[date, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and the days as ISO dates."""
        days = {name: [day.isoformat() for day in getattr(self, name)] for name in ("days", "statement_days")}
        return {**asdict(self), **days}

    def __str__(self) -> str:
        return (
            f"run {self.run_id}: {self.judged} rebates judged, {self.changed} changed: {self.matched} matched, "
            f"{self.broken} broken, {self.pending} pending, {self.unprovable} unprovable, {self.failed} failed"
        )


def judge_days(url: str | URL, *, agent: str, days: Sequence[date], settings: ReconSettings) -> RunSummary:
    """Judge every rebate of the given settlement days of a Lucko agent and write their daily figures.

    Consumes no loads: what it leaves unjudged is still an incremental run's to find. Raises ConfigError when the
    agent's bets feed is not declared in ops.agents (what was never declared proves nothing) or a day is closed,
    Unreachable when the warehouse is lost; nothing is written then.
    """
    with _one_run(url, agent) as connection:
        return _Run(connection, agent, settings).full(sorted(set(days)))


def rejudge(url: str | URL, *, agent: str, settings: ReconSettings) -> RunSummary:
    """Judge the rebates whose verdict may have changed, and write the daily figures of the days concerned.

    Consumes every committed load that no run has consumed. All rebates are judged when the agent was never judged
    incrementally, and when the settings or the declaration of its bets feed are others. Raises like judge_days.
    """
    with _one_run(url, agent) as connection:
        return _Run(connection, agent, settings).incremental()


def lock_name(agent: str) -> str:
    """Return what runs and acceptances of one agent take turns on (an advisory lock of its hash)."""
    return f"tieout:recon:{agent}"


@contextmanager
def _one_run(url: str | URL, agent: str) -> Iterator[psycopg.Connection]:
    with connect(url, autocommit=True) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        if not is_declared(connection, provider="lucko", agent=agent, feeds=["bets"]):
            raise ConfigError(
                f"the bets feed of the Lucko agent {agent!r} is not declared in the warehouse (ops.agents).",
                advice="Declare the agent in feeds.yaml; its first pull or `python -m tieout migrate` writes it.",
            )
        analyze_grown(connection, READ)
        # Only before the first temporary table of a session: beyond it, working tables go to disk page by page.
        connection.execute(sql.SQL("SET temp_buffers = {}").format(sql.Literal(TEMP_BUFFERS)))
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (lock_name(agent),))
        with connection.transaction():
            yield connection


class _Run:
    """One run inside one open transaction."""

    def __init__(self, connection: psycopg.Connection, agent: str, settings: ReconSettings) -> None:
        self.connection = connection
        self.agent = agent
        self.settings = settings
        self.config = {**settings.as_json(), "feed": self._feed()}
        self.parameters: dict[str, Any] = {"agent": agent, "settings": json.dumps(settings.as_json())}
        #: Whether what the loads moved in the daily figures was gathered.
        self.knows_moves = False
        #: Days before it are closed: their figures stand, and their rebates' verdicts, once decided.
        self.closed = closed_before(connection, provider="lucko", agent=agent)

    def full(self, days: list[date]) -> RunSummary:
        if shut := [day for day in days if not self._is_open(day)]:
            raise ConfigError(
                f"the Lucko agent {self.agent!r} cannot be judged for {', '.join(map(str, shut))}: days before "
                f"{self.closed} are closed, their rows were shed.",
                advice="Their verdicts and figures stand as they are: see docs/warehouse-growth.md.",
            )
        days = with_days_entered(self.connection, agent=self.agent, days=days)
        self._begin("full", days)
        choose(self.connection, DAYS, closed=self.closed, **of_days(self.agent, days))
        return self._judge(set(days))

    def incremental(self) -> RunSummary:
        everything = self._must_judge_everything()
        self._begin("incremental", [], everything=everything)
        choose(self.connection, EVERYTHING if everything else CONCERNED, closed=self.closed, agent=self.agent)
        if not everything:
            self._gather("keys/doubtful_spans", "judge_spans")
            self._gather("keys/coverage", "judge_coverage")
            self._execute("keys/closure")
            self.connection.execute("TRUNCATE judge_spans, judge_coverage")
        self.connection.execute(
            """INSERT INTO recon.run_inputs (agent, load_id, run_id)
               SELECT %(agent)s, load_id, %(run_id)s FROM judge_loads""",
            self.parameters,
        )
        return self._judge(set())

    # -- beginning and end ----------------------------------------------------------------------------------

    def _feed(self) -> dict[str, Any]:
        """Return the declaration that verdicts depend on, as text."""
        return dict(
            self._one(
                """SELECT jsonb_build_object('start_at', start_at, 'stop_at', stop_at, 'slice_width', slice_width,
                       'slice_anchor', slice_anchor, 'reach', reach)
                   FROM ops.agents WHERE provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s""",
                {"agent": self.agent},
            )[0]
        )

    def _must_judge_everything(self) -> bool:
        """Return whether verdicts may stand that were judged by another configuration, or none do."""
        (same,) = self._one(
            """SELECT bool_and(config_fingerprint = %(config)s) FROM recon.runs
               WHERE agent = %(agent)s AND run_id >= (
                   SELECT max(run_id) FROM recon.runs WHERE agent = %(agent)s AND everything)""",
            {"agent": self.agent, "config": fingerprint(self.config)},
        )
        return not same

    def _begin(self, kind: str, days: list[date], *, everything: bool = False) -> None:
        self.kind, self.everything = kind, everything
        run_id, judged_at = self._one(
            """INSERT INTO recon.runs (agent, kind, days, config, config_fingerprint, everything, started_at)
               VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp()) RETURNING run_id, started_at""",
            (self.agent, kind, days, json.dumps(self.config), fingerprint(self.config), everything),
        )
        self.parameters |= {"run_id": run_id, "judged_at": judged_at}
        self.connection.execute(sql.SQL("SET LOCAL work_mem = {}").format(sql.Literal(WORK_MEM)))
        # Compiling long expressions takes longer than computing them for some hundred thousand rows.
        self.connection.execute("SET LOCAL jit = off")
        self.connection.execute(statement("tables.sql"))
        for step in ("loads", "ledger", "rejected"):
            self._gather(f"keys/{step}", f"judge_{step}")
        loads = self.connection.execute("SELECT load_id FROM judge_loads").fetchall()
        self.parameters["loads"] = [load_id for (load_id,) in loads]

    def _finish(self, changed: int, days: Sequence[date], told: Sequence[date]) -> RunSummary:
        row = self._one(
            """UPDATE recon.runs r SET duration = clock_timestamp() - r.started_at, judged = v.judged,
                   changed = %(changed)s, matched = v.matched, pending = v.pending, broken = v.broken,
                   unprovable = v.unprovable, failed = v.failed,
                   also_saw = CASE WHEN r.kind = 'full' THEN coalesce(
                       (SELECT array_agg(load_id ORDER BY load_id) FROM judge_loads), '{}') ELSE '{}' END,
                   slices = (SELECT range_agg(c.needed) * l.certified FROM judge_coverage c, judge_ledger l
                             GROUP BY l.certified)
               FROM (SELECT n.judged, n.judged - count(*) FILTER (WHERE verdict <> 'matched') AS matched,
                            count(*) FILTER (WHERE verdict = 'pending') AS pending,
                            count(*) FILTER (WHERE verdict = 'break') AS broken,
                            count(*) FILTER (WHERE verdict = 'unprovable') AS unprovable,
                            count(*) FILTER (WHERE verdict = 'failed') AS failed
                     FROM (SELECT count(*) AS judged FROM judge_keys) n LEFT JOIN judge_verdicts ON TRUE
                     GROUP BY n.judged) v
               WHERE r.run_id = %(run_id)s
               RETURNING r.run_id, r.judged, r.changed, r.matched, r.pending, r.broken, r.unprovable, r.failed""",
            {**self.parameters, "changed": changed},
        )
        names = ("run_id", "judged", "changed", "matched", "pending", "broken", "unprovable", "failed")
        summary = RunSummary(**dict(zip(names, row, strict=True)), days=tuple(days), statement_days=tuple(told))
        log.info("lucko agent %s, %s", self.agent, summary)
        return summary

    # -- the one path ---------------------------------------------------------------------------------------

    def _judge(self, days: set[date]) -> RunSummary:
        for step in ("keys", "groups"):
            self._gather(f"keys/{step}", f"judge_{step}")
        many = self._has_many_keys()
        self._note_shared_bets()
        if self.kind == "incremental" and not self.everything:
            days |= set(self._touched_days())
        self.parameters["are_summed"] = many
        if many:
            self._sum_up()
        for step, table in GATHERED:
            self._gather(step, table)
        days |= days_of_verdicts(self.connection, kind=self.kind)
        changed = write_verdicts(self.connection, self.parameters)
        if changed >= MANY_KEYS:
            # What follows and the next run read them; autovacuum comes round later.
            self.connection.execute("ANALYZE recon.rebates")
        self._keep_coverage()
        for step in ("standing", "healed", "undecided"):
            self._execute(f"breaks/{step}")
        self._look_at("judge_breaks")
        for step in ("origins", "breaks"):
            self._execute(f"breaks/{step}")
        if self.everything:
            days |= set(all_days(self.connection, agent=self.agent, timezone=self.settings.timezone))
            told = set(days)
        else:
            told = days | days_told(self.connection)
        told = {day for day in told if self._is_open(day)}
        days = {day for day in days if self._is_open(day)}
        in_trend = self._write_days(sorted(days), many=many) if days else set()
        note_statements(self.connection, provider="lucko", agent=self.agent, days=told, in_trend=in_trend)
        return self._finish(changed, sorted(days), sorted(told))

    def _write_days(self, days: list[date], *, many: bool) -> set[date]:
        """Write the daily figures; return the days of which other amounts are over- and underpaid than before."""
        parameters = {**self.parameters, "days": days}
        before = over_and_underpaid(self.connection, parameters)
        write_days(self.connection, parameters, many=many, moved=self.knows_moves)
        return {day for day, *_ in before ^ over_and_underpaid(self.connection, parameters)}

    def _sum_up(self) -> None:
        """Sum up all keys at once; those that name bets worth a second look are not finished by it."""
        days = self._settlement_days()
        self.connection.execute("DROP TABLE judge_sums")
        # Links of a rebate lie together: their groups are found without sorting, and no process finds all of them.
        with planned_with(self.connection, enable_sort="off", parallel_tuple_cost="0"):
            self._execute("verdicts/sums_all", {**self.parameters, **days})

    def _has_many_keys(self) -> bool:
        """Return whether the keys are a good part of the agent's rebates, and allow for that many."""
        (keys,) = self._one("SELECT count(*) FROM judge_keys")
        if keys < MANY_KEYS:
            return False
        self.connection.execute(sql.SQL("SET LOCAL work_mem = {}").format(sql.Literal(WORK_MEM_MANY)))
        return self._is_good_part(keys)

    def _settlement_days(self) -> dict[str, list[Any]]:
        """Return the dates that the keys name and the bounds of the settlement days these mean."""
        rows = self.connection.execute("SELECT DISTINCT label, day_start, day_end FROM judge_groups").fetchall()
        return {name: [row[n] for row in rows] for n, name in enumerate(("labels", "starts", "ends"))}

    def _is_open(self, day: date) -> bool:
        return self.closed is None or day >= self.closed

    def _touched_days(self) -> list[date]:
        """Return the days whose figures the loads may have changed: of many news all days, which takes less time."""
        timezone = self.settings.timezone
        if self._has_many_new_rebates or self._has_many_news("lucko_bets"):
            return all_days(self.connection, agent=self.agent, timezone=timezone)
        days = gather_moves(self.connection, self.parameters)
        self.knows_moves = days is not None
        if days is not None:
            return days
        return touched_days(self.connection, agent=self.agent, loads=self.parameters["loads"], timezone=timezone)

    @cached_property
    def _has_many_new_rebates(self) -> bool:
        return self._has_many_news("lucko_rebates")

    def _has_many_news(self, table: str) -> bool:
        """Return whether the loads that no run has consumed brought a good part of the agent's rows in *table*."""
        (news,) = self._one(
            sql.SQL("SELECT count(*) FROM {} WHERE agent = %(agent)s AND load_id = ANY(%(loads)s::bigint[])").format(
                sql.Identifier("staging", table)
            ),
            self.parameters,
        )
        return news >= MANY_KEYS and self._is_good_part(news, table)

    def _is_good_part(self, rows: int, table: str = "lucko_rebates") -> bool:
        (known,) = self._one(
            sql.SQL("SELECT count(*) FROM {} WHERE agent = %(agent)s").format(sql.Identifier("staging", table)),
            self.parameters,
        )
        return bool(rows >= GOOD_PART * known)

    def _note_shared_bets(self) -> None:
        """Bring recon.shared_bets up to date with the loads that no run has consumed."""
        if not self.everything and not self._has_many_new_rebates:
            new = self.connection.execute(statement("keys/shared.sql"), self.parameters).rowcount
            (known,) = self._one("SELECT reltuples FROM pg_class WHERE oid = 'recon.shared_bets'::regclass")
            # What the planner never looked at it takes for empty, and joins all links for each of its rows.
            if new > 0.1 * known:
                self.connection.execute("ANALYZE recon.shared_bets")
            return
        self._execute("keys/shared_all")
        if self.everything:
            # Not before all days are added up anew: the stored sums leave out what was noted.
            self.connection.execute("DELETE FROM recon.shared_bets WHERE agent = %(agent)s", self.parameters)
        self.connection.execute(
            """INSERT INTO recon.shared_bets (agent, bet_id, run_id)
               SELECT %(agent)s, bet_id, %(run_id)s FROM judge_shared ON CONFLICT DO NOTHING""",
            self.parameters,
        )
        self.connection.execute("ANALYZE recon.shared_bets")

    def _keep_coverage(self) -> None:
        if self.everything:
            self.connection.execute("DELETE FROM recon.coverage WHERE agent = %(agent)s", self.parameters)
        # A full run may leave other rebates of a range unjudged: for them the ledger still has to differ.
        self._execute("keys/kept_coverage" if self.kind == "incremental" else "keys/first_coverage")

    # -- small tools ----------------------------------------------------------------------------------------

    def _gather(self, step: str, table: str) -> None:
        self._execute(step)
        self._look_at(table)

    def _look_at(self, table: str) -> None:
        columns = sql.SQL(LOOKED_AT.get(table, ""))
        self.connection.execute(sql.SQL("ANALYZE {} {}").format(sql.Identifier(table), columns))

    def _execute(self, step: str, parameters: dict[str, Any] | None = None) -> None:
        query = VERDICTS_IN_DOUBT if step == "verdicts/verdicts" else statement(f"{step}.sql")
        self.connection.execute(query, parameters or self.parameters)

    def _one(self, query: Any, parameters: Any = None) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self.connection.execute(query, parameters).fetchone()
        assert row is not None
        return row
