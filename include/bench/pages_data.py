"""A warehouse of a thousand agents and ninety days as the pages read it, all of it written by the server itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql
from sqlalchemy import URL

from demo.postgres import EmbeddedPostgres
from tieout.core.coverage import remember_certified
from tieout.core.warehouse import connect


@dataclass(frozen=True, kw_only=True)
class ManyAgents:
    """How much there is: ``users`` without a claim and ``breaks`` per agent and day."""

    agents: int = 1_000
    days: int = 90
    breaks: int = 2
    users: int = 5

    @property
    def start(self) -> datetime:
        """The instant at which everything begins."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=self.days - 1)

    @property
    def dags(self) -> set[str]:
        """The DAGs of all feeds: who may read them sees everything."""
        numbers = range(1, self.agents + 1)
        lucko = {f"lucko__{feed}__agent{n:04d}" for n in numbers for feed in ("bets", "rebates")}
        return lucko | {f"hotroad__summary__agent{n:04d}" for n in numbers if n % 20 == 0}

    def write(self, url: URL) -> None:
        """Fill the migrated warehouse at *url*."""
        name = sql.Identifier(str(url.database))
        with connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
        with connect(url, autocommit=True) as connection:
            parameters = {
                "agents": self.agents, "start": self.start, "days": self.days, "breaks": self.breaks,
                "users": self.users,
            }  # fmt: skip
            connection.execute("SET maintenance_work_mem = '256MB'")
            connection.execute("SET work_mem = '256MB'")
            # Neither foreign keys nor sums are looked at: what is written here agrees.
            connection.execute("SET session_replication_role = replica")
            with _without_indexes(connection):
                for statement in _STATEMENTS:
                    connection.execute(statement.encode(), parameters)
            connection.execute("VACUUM ANALYZE")
            remember_certified(connection)
            connection.execute("ANALYZE ops.certified")


@contextmanager
def _without_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Leave indexes of ops and recon out while rows are written: they are made faster at once."""
    found = connection.execute(
        """SELECT format('DROP INDEX %I.%I', schemaname, indexname), indexdef FROM pg_indexes
           WHERE schemaname IN ('ops', 'recon') AND indexname LIKE 'ix%'
           UNION ALL
           SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
               format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
           FROM pg_constraint
           WHERE conrelid IN ('ops.readings'::regclass, 'recon.unclaimed'::regclass) AND contype = 'p'"""
    ).fetchall()
    for drop, _ in found:
        connection.execute(drop.encode())
    yield
    for _, make in found:
        connection.execute(make.encode())


@contextmanager
def many_agents(
    postgres: EmbeddedPostgres, name: str, *, sizes: ManyAgents, template: str | None = None
) -> Iterator[URL]:
    """Create the database *name* with all of it, from a migrated *template* or anew, and drop it in the end."""
    from tieout.migrations import upgrade

    postgres.create_database(name, template=template) if template else postgres.create_database(name)
    url = postgres.url(name)
    if template is None:
        upgrade(url)
    sizes.write(url)
    yield url
    postgres.drop_database(name)


_STATEMENTS = (
    """INSERT INTO ops.agents (provider, feed, agent, start_at, slice_width, slice_anchor, lag, reach, merchant_id,
           first_known_at)
       SELECT 'lucko', f.feed, 'agent' || to_char(n, 'FM0000'), %(start)s, f.width, '0', '2 minutes', '90 days',
           'm' || n, %(start)s
       FROM generate_series(1, %(agents)s) AS n
       CROSS JOIN (VALUES ('bets', interval '1 hour'), ('rebates', interval '6 hours')) AS f (feed, width)""",
    # One agent in twenty lacks an hour, one in thirty has a suspect one. In the order in which time brings them.
    """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state, pages,
           rows, landing_uri, sha256, pulled_at, finished_at, loaded_at)
       SELECT 'r' || row_number() OVER (), 'lucko', a.feed, a.agent, s, s + a.slice_width, 'first',
           CASE WHEN a.agent LIKE '%%15' AND s = %(start)s + interval '20 days' THEN 'suspect' ELSE 'certified' END,
           1, 100, 'file:///landing', 'sha', s + a.slice_width, s + a.slice_width, s + a.slice_width
       FROM generate_series(%(start)s, now() - interval '2 hours', '1 hour') AS s
       INNER JOIN ops.agents AS a ON a.feed = 'bets' OR extract(HOUR FROM s AT TIME ZONE 'UTC')::int %% 6 = 0
       WHERE s + a.slice_width <= now() AND NOT (a.agent LIKE '%%05' AND s = %(start)s + interval '30 days')""",
    """INSERT INTO ops.quota (provider, endpoint, merchant_id, next_free_at, reserved, used)
       SELECT 'lucko', e.endpoint, 'm' || n, now(), 2000, (
           SELECT jsonb_object_agg(h, '{"calls": 300, "seconds": 1530}'::jsonb)
           FROM generate_series(extract(EPOCH FROM now())::bigint / 3600 - 24, extract(EPOCH FROM now())::bigint / 3600)
               AS h)
       FROM generate_series(1, %(agents)s) AS n CROSS JOIN (VALUES ('/bets'), ('/rebates')) AS e (endpoint)""",
    """INSERT INTO ops.alerts (kind, cause, provider, feed, agent, since, detail, opened_at, closed_at)
       SELECT k.kind, concat_ws('/', k.kind, n, d), 'lucko', 'bets', 'agent' || to_char(n, 'FM0000'),
           s.at, '', s.at, CASE WHEN d %% 9 > 0 THEN s.at + interval '6 hours' END
       FROM generate_series(1, %(agents)s) AS n CROSS JOIN generate_series(0, %(days)s - 1) AS d
       CROSS JOIN (VALUES ('stale'), ('suspect')) AS k (kind)
       CROSS JOIN LATERAL (SELECT %(start)s + d * interval '1 day' AS at) AS s""",
    """INSERT INTO ops.rejects (reading_id, provider, feed, agent, page, row_number, reason, detail, raw)
       SELECT 'r', 'lucko', 'bets', 'agent' || to_char(n, 'FM0000'), 'page-00001.json.gz', k, 'bad_value', 'd', '{}'
       FROM generate_series(1, %(agents)s, 10) AS n CROSS JOIN generate_series(1, 200) AS k""",
    """INSERT INTO recon.runs (agent, kind, days, config, config_fingerprint, started_at)
       VALUES ('agent0001', 'full', '{}', '{}', 'x', now())""",
    """INSERT INTO recon.daily
       SELECT 'agent' || to_char(n, 'FM0000'), %(start)s::date + d, 'USD', 1000, 100000.55, 50, 1, 98000.25,
           980, 981, -1, 979, 3.5, 2.5, 20, 2000.30, 45, 1, 4, 0, 1
       FROM generate_series(0, %(days)s - 1) AS d CROSS JOIN generate_series(1, %(agents)s) AS n""",
    """INSERT INTO recon.bridge
       SELECT d.agent, d.day, d.currency, d.bet_turnover, d.unclaimed_turnover, 0, 0, 0, 0,
           d.rebated_turnover - d.bet_turnover + d.unclaimed_turnover, d.rebated_turnover, 0, 0, 0, 1
       FROM recon.daily AS d""",
    """INSERT INTO recon.unclaimed
       SELECT d.agent, d.day, d.currency, 'u' || u, 4, 400.06, 3, 300 + u, 1
       FROM recon.daily AS d CROSS JOIN generate_series(1, %(users)s) AS u""",
    """INSERT INTO recon.activity_daily (agent, day, currency, activity_id, eligible_bets, eligible_turnover,
           claimed_bets, claimed_turnover, claim_rate, ineligible_bets, ineligible_turnover, run_id)
       SELECT d.agent, d.day, d.currency, 'activity' || a, 900, 90000, 800, 80000, 0.888889, 1, 12.5, 1
       FROM recon.daily AS d CROSS JOIN generate_series(1, 2) AS a""",
    """INSERT INTO recon.rebates (agent, rebate_id, run_id, judged_at, day, activity_id, user_id, currency, create_time,
           verdict, reasons, turnover, rate, rebate_amount, linked_bets, linked_turnover, difference, expected_amount,
           entitled_turnover, entitled, overpaid, could_hold)
       SELECT d.agent, d.agent || d.day || k, 1, now(), d.day, 'a', 'u' || k, 'USD', d.day, 'break', '{turnover}', 110,
           1, 1.1, 1, 100, 10, 1.1, 100, 1, 0.1, tstzrange(d.day, d.day + 1)
       FROM recon.daily AS d CROSS JOIN generate_series(1, %(breaks)s) AS k""",
    """INSERT INTO recon.breaks (agent, rebate_id, reason, day, user_id, currency, state, amount, overpaid,
           sentence, fingerprint, opened_at, changed_at, run_id)
       SELECT r.agent, r.rebate_id, 'turnover', r.day, r.user_id, 'USD',
           CASE WHEN (h.n + r.day - date '2020-01-01') %% 3 = 0 THEN 'healed' ELSE 'open' END,
           (h.n * 7919 %% 10007) / 100.0, 0.25,
           'A sentence of ordinary length that says what is wrong with the rebate of this user.', 'f',
           r.day + interval '1 day 6 hours', now(), 1
       FROM recon.rebates AS r CROSS JOIN LATERAL (SELECT right(r.agent, 4)::int AS n) AS h
       ORDER BY r.day, r.agent, r.rebate_id""",
    """INSERT INTO recon.integrity_breaks
       SELECT 'lucko', d.agent, 'real_win', 'bet:' || d.day || d.agent, 'bets', d.day, '101', 'u1', d.currency, 10,
           9.5, 0.5,
           'Bet 1 of 101: real_win = win - bet is broken, 10 against 9.5.',
           CASE WHEN right(d.agent, 1) = '3' THEN 'healed' ELSE 'open' END, d.day, d.day
       FROM recon.daily AS d""",
    """INSERT INTO ops.agents (provider, feed, agent, start_at, slice_width, slice_anchor, lag, reach, merchant_id,
           first_known_at)
       SELECT 'hotroad', 'summary', 'agent' || to_char(n, 'FM0000'), now() - interval '2 hours', '1 hour', '0',
           '2 hours', '40 days', 'h' || n, now()
       FROM generate_series(20, %(agents)s, 20) AS n""",
    """INSERT INTO recon.control_totals
       SELECT 'hotroad', a.agent, s, s + interval '1 day', s::date,
           CASE WHEN d %% 9 = 0 THEN 'differs' ELSE 'equal' END, 40,
           CASE WHEN d %% 9 = 0 THEN 2 ELSE 0 END, 0, s + interval '36 hours', s, s, 'file:///landing/controls'
       FROM ops.agents AS a CROSS JOIN generate_series(0, %(days)s - 1) AS d
       CROSS JOIN LATERAL (SELECT %(start)s::timestamptz + d * interval '1 day' AS s) AS t
       WHERE a.provider = 'hotroad'""",
)
