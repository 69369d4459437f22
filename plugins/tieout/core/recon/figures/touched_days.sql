-- The days whose figures the given loads may have changed: of every state of a bet or rebate that changed, and of the
-- bets and rebates that share a claim with them. Parameters: agent, loads, timezone.
WITH changed_rebates AS (
    SELECT id FROM staging.lucko_rebates WHERE agent = %(agent)s AND load_id = any(%(loads)s::bigint[])
),

concerned AS (
    SELECT id FROM staging.lucko_bets WHERE agent = %(agent)s AND load_id = any(%(loads)s::bigint[])
    UNION
    SELECT l.bet_id
    FROM changed_rebates AS c
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = c.id
    UNION
    -- What a rebate named before and names no longer has become unclaimed.
    SELECT named.bet_id
    FROM changed_rebates AS c
    INNER JOIN staging.lucko_rebate_versions AS v ON v.agent = %(agent)s AND v.id = c.id
    CROSS JOIN LATERAL jsonb_array_elements_text(v.txn_ids) AS named (bet_id)
),

instants AS (
    SELECT coalesce(b.settle_time, b.bet_time) AT TIME ZONE %(timezone)s AS local_time
    FROM concerned AS c
    INNER JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = c.id
    UNION ALL
    SELECT coalesce(v.settle_time, v.bet_time) AT TIME ZONE %(timezone)s
    FROM concerned AS c
    INNER JOIN staging.lucko_bet_versions AS v ON v.agent = %(agent)s AND v.id = c.id AND v.status = 1
    UNION ALL
    SELECT r.date AT TIME ZONE 'UTC'
    FROM concerned AS c
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = c.id
    INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = l.rebate_id
    UNION ALL
    SELECT r.date AT TIME ZONE 'UTC'
    FROM changed_rebates AS c
    INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = c.id
    UNION ALL
    SELECT v.date AT TIME ZONE 'UTC'
    FROM changed_rebates AS c
    INNER JOIN staging.lucko_rebate_versions AS v ON v.agent = %(agent)s AND v.id = c.id
)

SELECT DISTINCT local_time::date AS day
FROM instants
ORDER BY day
