-- Days of every state of a bet or rebate that the loads changed. Parameters: agent, loads, timezone.
WITH instants AS (
    SELECT coalesce(v.settle_time, v.bet_time) AT TIME ZONE %(timezone)s AS local_time
    FROM staging.lucko_bets AS b
    INNER JOIN staging.lucko_bet_versions AS v ON v.agent = b.agent AND v.id = b.id AND v.status = 1
    WHERE b.agent = %(agent)s AND b.load_id = any(%(loads)s::bigint[])
    UNION ALL
    SELECT coalesce(b.settle_time, b.bet_time) AT TIME ZONE %(timezone)s
    FROM staging.lucko_bets AS b
    WHERE b.agent = %(agent)s AND b.load_id = any(%(loads)s::bigint[]) AND b.status = 1
    UNION ALL
    SELECT v.date AT TIME ZONE 'UTC'
    FROM staging.lucko_rebates AS r
    INNER JOIN staging.lucko_rebate_versions AS v ON v.agent = r.agent AND v.id = r.id
    WHERE r.agent = %(agent)s AND r.load_id = any(%(loads)s::bigint[])
    UNION ALL
    SELECT r.date AT TIME ZONE 'UTC'
    FROM staging.lucko_rebates AS r
    WHERE r.agent = %(agent)s AND r.load_id = any(%(loads)s::bigint[])
)

SELECT DISTINCT local_time::date
FROM instants
