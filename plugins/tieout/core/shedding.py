"""Shedding: rows of old days leave staging, what was found out about these days stays.

The day is recorded first (``ops.shed``): days before it are closed for the judge and the mart, so that a command that
was stopped half-way leaves nothing that a run could work out from what is left. Run again, it goes on. What a run may
still need stays: see the statements.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString

import psycopg
from sqlalchemy import URL

from tieout.core.errors import ConfigError
from tieout.core.ledger import is_declared
from tieout.core.recon.closed import closed_before
from tieout.core.recon.judge import lock_name
from tieout.core.warehouse import connect

log = logging.getLogger(__name__)

#: Rows looked at in one transaction; a rebate may take thousands of links with it.
REBATES, BETS = 2_000, 20_000

#: The newest day that no provider's answer reaches any more, by the ledger's time.
_NEWEST = """
SELECT (max(r.pulled_at) - coalesce((
    SELECT max(a.reach) FROM ops.agents AS a WHERE a.provider = 'lucko' AND a.agent = %(agent)s
), interval '0'))::date
FROM ops.readings AS r
WHERE r.provider = 'lucko' AND r.agent = %(agent)s
"""

#: What the judge or the mart has not taken in of the days that are about to be closed: it never would.
_WAITING = """
WITH waiting AS MATERIALIZED (
    SELECT l.load_id
    FROM ops.loads AS l
    WHERE l.provider = 'lucko' AND l.agent = %(agent)s AND (
        NOT EXISTS (SELECT FROM recon.run_inputs AS i WHERE i.agent = l.agent AND i.load_id = l.load_id)
        OR (
            EXISTS (SELECT FROM mart.refreshes AS m WHERE m.provider = l.provider AND m.agent = l.agent)
            AND NOT EXISTS (
                SELECT FROM mart.inputs AS i
                WHERE i.provider = l.provider AND i.agent = l.agent AND i.load_id = l.load_id
            )
        )
    )
),
closing AS (
    SELECT
        coalesce(%(closed)s::date, date '-infinity') AS since,
        %(before)s::date::timestamp AT TIME ZONE 'UTC' AS until
)
SELECT
    (
        SELECT count(*) FROM staging.lucko_rebates AS r
        WHERE r.agent = %(agent)s AND r.date < c.until AND (r.date AT TIME ZONE 'UTC')::date >= c.since
            AND (
                r.load_id IN (SELECT w.load_id FROM waiting AS w)
                OR NOT EXISTS (SELECT FROM recon.rebates AS v WHERE v.agent = r.agent AND v.rebate_id = r.id)
            )
    ),
    (
        SELECT count(*) FROM waiting AS w
        INNER JOIN staging.lucko_bets AS b ON b.load_id = w.load_id AND b.agent = %(agent)s
        WHERE coalesce(b.settle_time, b.bet_time) < c.until
            AND (coalesce(b.settle_time, b.bet_time) AT TIME ZONE 'UTC')::date >= c.since
    )
FROM closing AS c
"""

_RECORD = """
INSERT INTO ops.shed AS s (provider, agent, before) VALUES ('lucko', %(agent)s, %(before)s)
ON CONFLICT (provider, agent) DO UPDATE SET before = excluded.before, shed_at = excluded.shed_at
WHERE s.before < excluded.before
"""

#: Rebates of closed days, each with its links and its history at once. What stays: those that may still be judged
#: (undecided ones, and those whose verdict is of an open day), those that share a bet, a wallet transaction or a
#: payment with one that is judged again (a rule about earlier rebates must find them), and those that name a bet that
#: may be counted in an open day. No timezone has a day begin a day earlier than UTC.
_REBATES = """
WITH looked_at AS MATERIALIZED (
    SELECT r.id, r.date, r.activity_id, r.user_id, r.currency, nullif(r.wallet_txn_id, '') AS wallet_txn_id
    FROM staging.lucko_rebates AS r
    WHERE r.agent = %(agent)s AND r.date < %(before)s::date::timestamp AT TIME ZONE 'UTC'
        AND (r.date, r.id) > (%(position)s::timestamptz, %(id)s)
    ORDER BY r.date, r.id
    LIMIT %(limit)s
),
linked AS MATERIALIZED (
    SELECT l.rebate_id, l.bet_id FROM looked_at AS c
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = c.id
),
alike AS (
    SELECT n.rebate_id, o.rebate_id AS other_id FROM linked AS n
    INNER JOIN staging.lucko_rebate_bets AS o
        ON o.agent = %(agent)s AND o.bet_id = n.bet_id AND o.rebate_id <> n.rebate_id
    UNION
    SELECT c.id, o.id FROM looked_at AS c
    INNER JOIN staging.lucko_rebates AS o ON o.agent = %(agent)s AND o.wallet_txn_id = c.wallet_txn_id AND o.id <> c.id
    UNION
    SELECT c.id, o.id FROM looked_at AS c
    INNER JOIN staging.lucko_rebates AS o
        ON o.agent = %(agent)s AND o.date = c.date AND o.user_id = c.user_id AND o.activity_id = c.activity_id
            AND o.currency = c.currency AND o.id <> c.id
),
kept AS (
    SELECT c.id FROM looked_at AS c
    INNER JOIN recon.rebates AS v ON v.agent = %(agent)s AND v.rebate_id = c.id
    WHERE v.pending_reason IS NOT NULL OR v.day >= %(before)s
    UNION
    SELECT a.rebate_id FROM alike AS a
    INNER JOIN staging.lucko_rebates AS o ON o.agent = %(agent)s AND o.id = a.other_id
    LEFT JOIN recon.rebates AS v ON v.agent = o.agent AND v.rebate_id = o.id
    WHERE o.date >= %(before)s::date::timestamp AT TIME ZONE 'UTC'
        OR v.pending_reason IS NOT NULL OR v.day >= %(before)s
    UNION
    SELECT n.rebate_id FROM linked AS n
    LEFT JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = n.bet_id
    WHERE NOT coalesce(
        b.status <> 0 AND b.update_time < o.old AND coalesce(b.settle_time, b.bet_time) < o.old, FALSE
    )
),
chosen AS MATERIALIZED (
    SELECT c.id FROM looked_at AS c WHERE NOT EXISTS (SELECT FROM kept AS k WHERE k.id = c.id)
),
links AS (
    DELETE FROM staging.lucko_rebate_bets AS l USING chosen AS c
    WHERE l.agent = %(agent)s AND l.rebate_id = c.id RETURNING 1
),
versions AS (
    DELETE FROM staging.lucko_rebate_versions AS v USING chosen AS c
    WHERE v.agent = %(agent)s AND v.id = c.id RETURNING 1
),
gone AS (
    DELETE FROM staging.lucko_rebates AS r USING chosen AS c WHERE r.agent = %(agent)s AND r.id = c.id RETURNING 1
)
SELECT (SELECT count(*) FROM gone), last.date, last.id, (SELECT count(*) FROM links), (SELECT count(*) FROM versions)
FROM looked_at AS last ORDER BY last.date DESC, last.id DESC LIMIT 1
""".replace("o.old", "(%(before)s::date - 1)::timestamp AT TIME ZONE 'UTC'")

#: Bets settled in closed days of whatever timezone, each with its history at once, when no stored rebate names them
#: and no identity of theirs is broken (it would seem to have healed).
_BETS = """
WITH looked_at AS MATERIALIZED (
    SELECT b.id, b.settle_time, b.update_time
    FROM staging.lucko_bets AS b
    WHERE b.agent = %(agent)s AND b.settle_time < (%(before)s::date - 1)::timestamp AT TIME ZONE 'UTC'
        AND b.settle_time >= %(position)s AND (b.settle_time, b.id) > (%(position)s::timestamptz, %(id)s)
    ORDER BY b.settle_time, b.id
    LIMIT %(limit)s
),
chosen AS MATERIALIZED (
    SELECT c.id FROM looked_at AS c
    WHERE c.update_time < (%(before)s::date - 1)::timestamp AT TIME ZONE 'UTC'
        AND NOT EXISTS (
            SELECT FROM staging.lucko_rebate_bets AS l WHERE l.agent = %(agent)s AND l.bet_id = c.id
        )
        AND NOT EXISTS (
            SELECT FROM recon.integrity_breaks AS i
            WHERE i.provider = 'lucko' AND i.agent = %(agent)s AND i.row_key = c.id AND i.state <> 'healed'
        )
),
versions AS (
    DELETE FROM staging.lucko_bet_versions AS v USING chosen AS c
    WHERE v.agent = %(agent)s AND v.id = c.id RETURNING 1
),
gone AS (
    DELETE FROM staging.lucko_bets AS b USING chosen AS c WHERE b.agent = %(agent)s AND b.id = c.id RETURNING 1
)
SELECT (SELECT count(*) FROM gone), last.settle_time, last.id, (SELECT count(*) FROM versions)
FROM looked_at AS last ORDER BY last.settle_time DESC, last.id DESC LIMIT 1
"""


@dataclass(frozen=True, kw_only=True)
class Shed:
    """Days before ``before`` are closed; what this call has shed of them."""

    before: date
    rebates: int
    bets: int

    def __str__(self) -> str:
        return f"days before {self.before} are closed; {self.rebates} rebates and {self.bets} bets were shed"


def shed(
    url: str | URL, *, agent: str, before: date, progress: Callable[[str], None] = log.info,
) -> Shed:  # fmt: skip
    """Close the days of a Lucko agent before *before* and delete their rows from staging, in batches.

    Verdicts, breaks, daily figures, the mart and the ledger stay as they are. No run of the agent's judge is in
    between; stopped half-way, it goes on when called again. *progress* is told of each batch. Raises ConfigError when
    the agent is not known, when the provider still answers for these days, or when a run has yet to take in what was
    loaded of them; nothing is closed then.
    """
    with connect(url, autocommit=True) as connection:
        if not is_declared(connection, provider="lucko", agent=agent, feeds=["bets"]):
            raise ConfigError(
                f"the Lucko agent {agent!r} is not declared in the warehouse (ops.agents).",
                advice="Only Lucko's rows are shed. `python -m tieout check` lists the declared agents.",
            )
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (lock_name(agent),))
        _close(connection, agent, before)
        rebates = _delete(connection, _REBATES, agent, before, REBATES, lambda n: progress(f"{n} rebates shed"))
        bets = _delete(connection, _BETS, agent, before, BETS, lambda n: progress(f"{n} bets shed"))
    return Shed(before=before, rebates=rebates, bets=bets)


def _close(connection: psycopg.Connection, agent: str, before: date) -> None:
    closed = closed_before(connection, provider="lucko", agent=agent)
    if closed is not None and before <= closed:
        return
    parameters = {"agent": agent, "before": before, "closed": closed}
    (newest,) = _row(connection, _NEWEST, parameters)
    if newest is None or before > newest:
        raise ConfigError(
            f"days before {before} of the Lucko agent {agent!r} cannot be closed: the provider still answers for some "
            f"of them, and what is read would be judged by rows that are gone.",
            advice="Nothing was read of this agent yet." if newest is None else f"The newest --before is {newest}.",
        )
    rebates, bets = _row(connection, _WAITING, parameters)
    if rebates or bets:
        raise ConfigError(
            f"{rebates} rebates and {bets} bets of days before {before} of the Lucko agent {agent!r} are not in "
            f"verdicts and mart yet, and would never be once these days are closed.",
            advice=f"Let lucko__rejudge__{agent} run to its end, then try again.",
        )
    connection.execute(_RECORD, parameters)


def _delete(
    connection: psycopg.Connection, query: LiteralString, agent: str, before: date, limit: int,
    progress: Callable[[int], None],
) -> int:  # fmt: skip
    """Run *query* from row to row until it finds none, a transaction each; return how many it has deleted."""
    total = 0
    position: datetime | str = "-infinity"
    row_id = ""
    while row := connection.execute(
        query, {"agent": agent, "before": before, "position": position, "id": row_id, "limit": limit}
    ).fetchone():
        deleted, position, row_id = row[:3]
        total += deleted
        progress(total)
    return total


def _row(connection: psycopg.Connection, query: LiteralString, parameters: dict[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row
