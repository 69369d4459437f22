"""Rebates, links and bets of one Lucko agent in bulk: seeded, made by the server itself, as loads leave them.

Every rebate names its user's bets of one day. One rebate in a hundred is broken: it states too much, was paid too
much, names a bet nobody reports, or names a bet of the rebate before it. All slices are certified.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
READING = "bench"
#: Analysed after each growth, as autovacuum does in time.
TABLES = ("lucko_bets", "lucko_bet_versions", "lucko_rebates", "lucko_rebate_versions", "lucko_rebate_bets")


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """How much of it: ``rebates_per_day``, one a user, each naming ``bets_per_rebate`` bets of its own."""

    agent: str = "bulk"
    rebates_per_day: int = 10_000
    bets_per_rebate: int = 10
    days: int = 20
    seed: int = 1

    @property
    def rebates(self) -> int:
        """How many rebates there are."""
        return self.rebates_per_day * self.days

    @property
    def bets(self) -> int:
        """How many bets there are."""
        return self.rebates * self.bets_per_rebate

    @property
    def end(self) -> datetime:
        """The end of the last settlement day."""
        return FIRST_DAY + self.days * DAY


# Ids are spread over the key space like the provider's own: neighbours in time are no neighbours in the index.
_BET_ID = (
    "lpad(to_hex(({0} * 2654435761) %% 4294967296), 8, '0') || lpad(to_hex({0}), 8, '0') || lpad(to_hex({1}), 8, '0')"
)

_BETS = f"""
INSERT INTO staging.lucko_bets (agent, id, user_id, game_id, bet_time, settle_time, bet_amount, valid_bet_turnover,
    currency, update_time, status, reading_id, load_id, first_seen_at, last_changed_at)
SELECT %(agent)s, {_BET_ID.format("r.number", "r.place")}, 'user' || lpad((r.number %% %(per_day)s)::text, 6, '0'),
    (101 + r.chance %% 5)::text, m.placed, m.placed + interval '30 seconds', m.turnover, m.turnover, 'USD',
    m.placed + interval '30 seconds', 1, %(reading)s, %(load_id)s, m.placed + interval '1 hour',
    m.placed + interval '1 hour'
FROM (
    SELECT n / %(named)s AS number, n %% %(named)s AS place,
        hashint8extended(n, %(seed)s) & 9223372036854775807 AS chance
    FROM generate_series(%(first)s::bigint * %(named)s, %(last)s::bigint * %(named)s - 1) AS n
) AS r
CROSS JOIN LATERAL (
    SELECT %(epoch)s::timestamptz + make_interval(days => (r.number / %(per_day)s)::int, secs => r.chance %% 86000)
            AS placed,
        (100 + r.chance / 86000 %% 99900) * 0.01 AS turnover
) AS m
"""

_REBATES = f"""
WITH made AS (
    SELECT b.number,
        %(epoch)s::timestamptz + make_interval(days => (b.number / %(per_day)s)::int) AS day,
        b.turnover + CASE WHEN k.kind = 0 THEN 100 ELSE 0 END AS turnover,
        k.kind,
        b.named || CASE k.kind
            WHEN 2 THEN ARRAY['ffffffff' || lpad(to_hex(b.number), 16, '0')]
            WHEN 3 THEN ARRAY[{_BET_ID.format("(b.number - 1)", "0")}]
            ELSE '{{}}'
        END AS named
    FROM (
        SELECT n / %(named)s AS number, array_agg({_BET_ID.format("(n / %(named)s)", "(n %% %(named)s)")}) AS named,
            sum((100 + (hashint8extended(n, %(seed)s) & 9223372036854775807) / 86000 %% 99900) * 0.01) AS turnover
        FROM generate_series(%(first)s::bigint * %(named)s, %(last)s::bigint * %(named)s - 1) AS n
        GROUP BY 1
    ) AS b
    CROSS JOIN LATERAL (SELECT CASE WHEN b.number %% 100 = 99 THEN b.number / 100 %% 4 END AS kind) AS k
)
INSERT INTO staging.lucko_rebates (agent, id, activity_id, user_id, date, currency, turnover, rate, rebate_amount,
    wallet_txn_id, status, create_time, txn_ids, reading_id, load_id, first_seen_at, last_changed_at)
SELECT %(agent)s, lpad(to_hex(number), 24, '0'), 'activity', 'user' || lpad((number %% %(per_day)s)::text, 6, '0'), day,
    'USD', turnover, 1, round(turnover * 0.01, 2) + CASE WHEN kind = 1 THEN 0.01 ELSE 0 END, 'w' || number, 1,
    c.created, to_jsonb(named), %(reading)s, %(load_id)s, c.created, c.created
FROM made
CROSS JOIN LATERAL (
    SELECT day + make_interval(days => 1, secs => 60 + (number * 7919) %% 2900) AS created
) AS c
ORDER BY number
"""

_LINKS = """
INSERT INTO staging.lucko_rebate_bets (agent, rebate_id, bet_id, times, load_id)
SELECT r.agent, r.id, named.bet_id, 1, r.load_id
FROM staging.lucko_rebates AS r
CROSS JOIN LATERAL jsonb_array_elements_text(r.txn_ids) AS named (bet_id)
WHERE r.load_id = %(load_id)s
"""


def declare(connection: psycopg.Connection, bulk: Bulk) -> None:
    """Write the agent's bets feed and a certificate for every hour that judging *bulk* and its changes needs."""
    start, end = FIRST_DAY - 3 * DAY, bulk.end + 2 * DAY
    connection.execute(
        """INSERT INTO ops.agents (provider, agent, feed, start_at, slice_width, slice_anchor, lag)
           VALUES ('lucko', %s, 'bets', %s, '1 hour', '0', '2 minutes')""",
        (bulk.agent, start),
    )
    connection.execute(
        """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state, pages,
               rows, landing_uri, sha256, pulled_at, finished_at)
           SELECT %(reading)s || s::text, 'lucko', 'bets', %(agent)s, s, s + interval '1 hour', 'first', 'certified',
               1, 0, 'bench', 'bench', s + interval '62 minutes', s + interval '62 minutes'
           FROM generate_series(%(start)s::timestamptz, %(end)s - interval '1 hour', interval '1 hour') AS s""",
        {"reading": READING, "agent": bulk.agent, "start": start, "end": end},
    )


def write(connection: psycopg.Connection, bulk: Bulk, days: range, *, versions: bool = True) -> int:
    """Write the rows of some of the *days* of *bulk*, in one transaction, as one load; returns its load_id.

    Without *versions* the bets have no history, as if it had been pruned.
    """
    with connection.transaction(), _without_indexes(connection):
        load_id = _new_load(connection, bulk)
        parameters: dict[str, Any] = {
            "agent": bulk.agent, "seed": bulk.seed, "reading": READING, "load_id": load_id, "epoch": FIRST_DAY,
            "per_day": bulk.rebates_per_day, "named": bulk.bets_per_rebate,
            "first": days.start * bulk.rebates_per_day, "last": days.stop * bulk.rebates_per_day,
        }  # fmt: skip
        for statement in (_BETS, _REBATES, _LINKS):
            connection.execute(statement.encode(), parameters)
        if versions:
            for table in ("lucko_bets", "lucko_rebates"):
                _copy_versions(connection, table, load_id)
    for name in TABLES:
        connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier("staging", name)))
    return load_id


def restate(connection: psycopg.Connection, bulk: Bulk, *, bets: int, days: range, seed: int) -> int:
    """Halve the turnover of *bets* bets drawn from all of *days* as one load does; returns its load_id."""
    per_day = bulk.rebates_per_day * bulk.bets_per_rebate
    drawn = random.Random(f"restate {seed}").sample(range(days.start * per_day, days.stop * per_day), bets)
    numbers = [(number // bulk.bets_per_rebate, number % bulk.bets_per_rebate) for number in drawn]
    moment = bulk.end + timedelta(hours=5) + timedelta(minutes=seed)
    with connection.transaction():
        load_id = _new_load(connection, bulk)
        parameters = {
            "agent": bulk.agent, "ids": [_bet_id(*number) for number in numbers], "load_id": load_id, "moment": moment,
        }  # fmt: skip
        connection.execute(
            """UPDATE staging.lucko_bets SET valid_bet_turnover = round(valid_bet_turnover / 2, 2),
                   update_time = %(moment)s, load_id = %(load_id)s, last_changed_at = %(moment)s
               WHERE agent = %(agent)s AND id = ANY(%(ids)s)""",
            parameters,
        )
        _copy_versions(connection, "lucko_bets", load_id)
    return load_id


@contextmanager
def _without_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Drop the tables' indexes and build them anew in the end: in a fifth of the time that filling them takes."""
    connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
    found = connection.execute(
        """SELECT i.indrelid::regclass::text, c.relname, pg_get_indexdef(i.indexrelid),
               (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
           FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
           WHERE i.indrelid = ANY(%s::regclass[])""",
        ([f"staging.{name}" for name in TABLES],),
    ).fetchall()
    for table, name, _, constraint in found:
        schema, bare = table.split(".")
        if constraint:
            connection.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(schema, bare), sql.Identifier(name))
            )
        else:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(schema, name)))
    yield
    for table, name, definition, constraint in found:
        schema, bare = table.split(".")
        if constraint:
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(sql.Identifier(schema, bare), sql.Identifier(name))
                + sql.SQL(constraint)
            )
        else:
            connection.execute(definition.encode())


def _new_load(connection: psycopg.Connection, bulk: Bulk) -> int:
    row = connection.execute(
        """INSERT INTO ops.loads (reading_id, provider, feed, agent, only_appended)
           SELECT %s || count(*), 'lucko', 'bets', %s, true FROM ops.loads RETURNING load_id""",
        (READING, bulk.agent),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _copy_versions(connection: psycopg.Connection, table: str, load_id: int) -> None:
    versions = table.removesuffix("s") + "_versions"
    names = [
        name
        for (name,) in connection.execute(
            """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
                   AND attname IN (SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass)""",
            (f"staging.{table}", f"staging.{versions}"),
        )
    ]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    connection.execute(
        sql.SQL("INSERT INTO {} ({}, pulled_at) SELECT {}, last_changed_at FROM {} WHERE load_id = %s").format(
            sql.Identifier("staging", versions), columns, columns, sql.Identifier("staging", table)
        ),
        (load_id,),
    )


def _bet_id(rebate: int, place: int) -> str:
    """Return what _BET_ID says of a bet."""
    return f"{(rebate * 2_654_435_761) % 2**32:08x}{rebate:08x}{place:08x}"
