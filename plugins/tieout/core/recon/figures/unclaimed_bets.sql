-- The bets behind a row of recon.unclaimed. Parameters: agent, day, timezone, currency, user_id.
SELECT b.id
FROM (
    SELECT
        %(day)s::date::timestamp AT TIME ZONE %(timezone)s AS starts,
        (%(day)s::date + 1)::timestamp AT TIME ZONE %(timezone)s AS ends
) AS d
INNER JOIN staging.lucko_bets AS b
    ON
        b.agent = %(agent)s AND b.status = 1 AND b.currency = %(currency)s AND b.user_id = %(user_id)s
        AND (
            (b.settle_time >= d.starts AND b.settle_time < d.ends)
            OR (b.settle_time IS NULL AND b.bet_time >= d.starts AND b.bet_time < d.ends)
        )
WHERE
    NOT EXISTS (
        SELECT FROM staging.lucko_rebate_bets AS l
        INNER JOIN staging.lucko_rebates AS r ON r.agent = l.agent AND r.id = l.rebate_id AND r.status <> 0
        WHERE l.agent = b.agent AND l.bet_id = b.id
    )
ORDER BY b.id
