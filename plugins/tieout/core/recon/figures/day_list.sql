-- Every day that may have figures: of settled bets (found by stepping from day to day through the index), of settled
-- bets without settle_time, of judged rebates, and those that have figures. Parameters: agent, timezone.
WITH RECURSIVE settled AS (
    (
        SELECT (settle_time AT TIME ZONE %(timezone)s)::date AS day
        FROM staging.lucko_bets
        WHERE agent = %(agent)s AND settle_time IS NOT NULL
        ORDER BY settle_time
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT (b.settle_time AT TIME ZONE %(timezone)s)::date
        FROM staging.lucko_bets AS b
        WHERE b.agent = %(agent)s AND b.settle_time >= (s.day + 1)::timestamp AT TIME ZONE %(timezone)s
        ORDER BY b.settle_time
        LIMIT 1
    )
    FROM settled AS s
    WHERE s.day IS NOT NULL
)

SELECT day
FROM settled
WHERE day IS NOT NULL
UNION
SELECT (bet_time AT TIME ZONE %(timezone)s)::date
FROM staging.lucko_bets
WHERE agent = %(agent)s AND settle_time IS NULL AND status = 1
UNION
SELECT day FROM recon.rebates WHERE agent = %(agent)s
UNION
SELECT day FROM recon.daily WHERE agent = %(agent)s
ORDER BY day
