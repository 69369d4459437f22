"""Writing verdicts: only what changed, and what it replaces goes to the history.

A verdict that says the same is not written again, so that judging twice writes nothing and ``run_id`` tells since when
it stands. That a pending rebate waits for fewer slices than before is not another verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from tieout.core.recon.daily import statement
from tieout.core.tables.recon import VERDICT

#: Follows from the certificates of its time (recon.runs keeps them), and would fill the history while slices arrive.
WAITS = "waits_for"

_COMPONENT = "c.rebate_id, c.of, c.kind, c.bet_id, c.amount, c.evidence, c.is_fact"


def _columns(alias: str, *, without: str = "") -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in VERDICT if name != without)


#: Fills judge_verdicts with what verdicts.sql says of the keys, but for those that are matched just as before: nothing
#: follows from them, and in most runs they are most. Beside it, how it compares with what stood: whether it says the
#: same, waits for the same slices and counts the same in the tie-out, and of which day the rebate was. Parameters:
#: run_id, judged_at.
VERDICTS_IN_DOUBT = sql.SQL(
    """
INSERT INTO judge_verdicts (
    agent, rebate_id, run_id, judged_at, {columns}, is_decided, is_read, says_the_same, waits_the_same, counts_the_same,
    day_before
)
SELECT v.agent, v.rebate_id, %(run_id)s, %(judged_at)s, {new}, v.is_decided, v.is_read,
    r.rebate_id IS NOT NULL AND ({said}) IS NOT DISTINCT FROM ({says}),
    r.{waits} IS NOT DISTINCT FROM v.{waits},
    (r.day, r.verdict, r.overpaid, r.expected_amount, r.entitled, r.turnover, r.rebate_amount)
        IS NOT DISTINCT FROM
        (v.day, v.verdict, v.overpaid, v.expected_amount, v.entitled, v.turnover, v.rebate_amount),
    r.day
FROM ({judge}) AS v
LEFT JOIN recon.rebates AS r ON r.agent = v.agent AND r.rebate_id = v.rebate_id
WHERE NOT (
    v.verdict = 'matched' AND coalesce(r.verdict = 'matched', FALSE) AND ({old}) IS NOT DISTINCT FROM ({new})
)"""
).format(
    columns=sql.SQL(", ").join(sql.Identifier(name) for name in VERDICT),
    judge=statement("verdicts/verdicts.sql"),
    old=_columns("r"),
    new=_columns("v"),
    said=_columns("r", without=WAITS),
    says=_columns("v", without=WAITS),
    waits=sql.Identifier(WAITS),
)


def write_verdicts(connection: psycopg.Connection, parameters: Mapping[str, Any]) -> int:
    """Bring recon.rebates and recon.break_components to judge_verdicts and judge_components; returns how many changed.

    *parameters*: agent, run_id. The caller commits.
    """
    connection.execute(_CHANGED)
    connection.execute("ANALYZE judge_changed")
    for query in (_HISTORY, _UPDATE_WAITS):
        connection.execute(query, parameters)
    return connection.execute(_WRITE, parameters).rowcount


def verdicts_as_of(connection: psycopg.Connection, *, agent: str, run_id: int) -> dict[str, dict[str, Any]]:
    """Return every verdict of the agent as it stood after run *run_id*, by rebate id: the columns VERDICT names.

    ``run_id`` is the run since which it stood so; ``components`` is a list of dicts. ``waits_for`` is left out: it is
    only kept for what waits now.
    """
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        rows = cursor.execute(_AS_OF, {"agent": agent, "run_id": run_id}).fetchall()
    return {row["rebate_id"]: row for row in rows}


# Of what says the same otherwise, the components may say something else.
_CHANGED = sql.SQL(
    """
INSERT INTO judge_changed (rebate_id, only_waits)
SELECT rebate_id, bool_and(only_waits) FROM (
    SELECT rebate_id, says_the_same AS only_waits
    FROM judge_verdicts
    WHERE NOT (says_the_same AND waits_the_same)
    UNION ALL
    SELECT d.rebate_id, FALSE FROM (
        ({now} EXCEPT {before})
        UNION ALL
        ({before} EXCEPT {now})
    ) AS d
) AS found GROUP BY rebate_id"""
).format(
    now=sql.SQL(
        """SELECT {component} FROM judge_verdicts AS v
           INNER JOIN judge_components AS c ON c.rebate_id = v.rebate_id
           WHERE v.says_the_same"""
    ).format(component=sql.SQL(_COMPONENT)),
    before=sql.SQL(
        """SELECT {component} FROM judge_verdicts AS v
           INNER JOIN recon.break_components AS c ON c.agent = v.agent AND c.rebate_id = v.rebate_id
           WHERE v.says_the_same"""
    ).format(component=sql.SQL(_COMPONENT)),
)

_COMPONENTS_OF = sql.SQL(
    """coalesce((
           SELECT jsonb_agg(
               jsonb_build_object('of', c.of, 'kind', c.kind, 'bet_id', c.bet_id, 'amount', c.amount::text,
                                  'evidence', c.evidence, 'is_fact', c.is_fact)
               ORDER BY c.of, c.kind, c.bet_id)
           FROM recon.break_components AS c WHERE c.agent = r.agent AND c.rebate_id = r.rebate_id
       ), '[]')"""
)

_HISTORY = sql.SQL(
    """
INSERT INTO recon.rebate_history (agent, rebate_id, run_id, until_run, judged_at, {columns}, components)
SELECT r.agent, r.rebate_id, r.run_id, %(run_id)s, r.judged_at, {old}, {components}
FROM judge_changed AS n
INNER JOIN recon.rebates AS r ON r.agent = %(agent)s AND r.rebate_id = n.rebate_id
WHERE NOT n.only_waits"""
).format(
    columns=sql.SQL(", ").join(sql.Identifier(name) for name in VERDICT),
    old=_columns("r"),
    components=_COMPONENTS_OF,
)

_UPDATE_WAITS = sql.SQL(
    """
UPDATE recon.rebates AS r SET waits_for = v.waits_for
FROM judge_changed AS n
INNER JOIN judge_verdicts AS v ON v.rebate_id = n.rebate_id
WHERE n.only_waits AND r.agent = v.agent AND r.rebate_id = v.rebate_id"""
)

# One statement: the database checks after each that the components of every break it touched add up.
_WRITE = sql.SQL(
    """
WITH gone AS (
    DELETE FROM recon.break_components AS c
    USING judge_changed AS n
    WHERE c.agent = %(agent)s AND c.rebate_id = n.rebate_id AND NOT n.only_waits
        AND NOT EXISTS (
            SELECT FROM judge_components AS p
            WHERE p.rebate_id = c.rebate_id AND p.of = c.of AND p.kind = c.kind AND p.bet_id = c.bet_id
        )
),

placed AS (
    INSERT INTO recon.break_components AS c (agent, rebate_id, of, kind, bet_id, amount, evidence, is_fact)
    SELECT p.agent, p.rebate_id, p.of, p.kind, p.bet_id, p.amount, p.evidence, p.is_fact
    FROM judge_changed AS n
    INNER JOIN judge_components AS p ON p.rebate_id = n.rebate_id
    WHERE NOT n.only_waits
    ON CONFLICT (agent, rebate_id, of, kind, bet_id) DO UPDATE
        SET amount = excluded.amount, evidence = excluded.evidence, is_fact = excluded.is_fact
        WHERE (c.amount, c.evidence, c.is_fact) IS DISTINCT FROM (excluded.amount, excluded.evidence, excluded.is_fact)
)

INSERT INTO recon.rebates (agent, rebate_id, run_id, judged_at, {columns})
SELECT v.agent, v.rebate_id, v.run_id, v.judged_at, {new}
FROM judge_changed AS n
INNER JOIN judge_verdicts AS v ON v.rebate_id = n.rebate_id
WHERE NOT n.only_waits
ON CONFLICT (agent, rebate_id) DO UPDATE SET run_id = excluded.run_id, judged_at = excluded.judged_at, {assignments}"""
).format(
    columns=sql.SQL(", ").join(sql.Identifier(name) for name in VERDICT),
    new=_columns("v"),
    assignments=sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in VERDICT
    ),
)  # fmt: skip

_AS_OF = sql.SQL(
    """
SELECT r.rebate_id, r.run_id, r.judged_at, {now}, {components} AS components
FROM recon.rebates AS r WHERE r.agent = %(agent)s AND r.run_id <= %(run_id)s
UNION ALL
SELECT r.rebate_id, r.run_id, r.judged_at, {now}, r.components
FROM recon.rebate_history AS r
WHERE r.agent = %(agent)s AND r.run_id <= %(run_id)s AND r.until_run > %(run_id)s
ORDER BY rebate_id"""
).format(now=_columns("r", without=WAITS), components=_COMPONENTS_OF)
