-- The bets that a day's broken rebates name, those a reason is about first, at most so many for each.
-- Parameters: agent, day, shown.
WITH broken AS (
    SELECT
        b.rebate_id,
        b.reason,
        b.bet_ids
    FROM recon.breaks AS b
    WHERE b.agent = %(agent)s AND b.day = %(day)s AND b.state <> 'healed'
),

flagged AS (
    SELECT
        b.rebate_id,
        f.bet_id COLLATE "C" AS bet_id,
        array_agg(b.reason ORDER BY b.reason) AS reasons
    FROM broken AS b
    CROSS JOIN LATERAL unnest(b.bet_ids) AS f (bet_id)
    GROUP BY 1, 2
),

ranked AS (
    SELECT
        l.rebate_id,
        l.bet_id,
        coalesce(f.reasons, '{}') AS reasons,
        row_number() OVER (PARTITION BY l.rebate_id ORDER BY f.bet_id IS NULL, l.bet_id) AS place
    FROM (SELECT DISTINCT rebate_id FROM broken) AS k
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = k.rebate_id
    LEFT JOIN flagged AS f ON f.rebate_id = l.rebate_id AND f.bet_id = l.bet_id
)

SELECT
    r.rebate_id,
    r.bet_id,
    r.reasons,
    b.user_id,
    b.game_id,
    b.currency,
    b.status,
    b.bet_time,
    b.settle_time,
    b.bet_amount,
    b.valid_bet_turnover AS turnover
FROM ranked AS r
LEFT JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = r.bet_id
WHERE r.place <= %(shown)s
ORDER BY r.rebate_id, r.place
