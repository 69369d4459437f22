-- Bring the stored sums of days to what the moved bets have become. Parameters: agent, run_id, kept (days).
WITH moved AS (
    SELECT
        day,
        currency,
        game_id,
        CASE WHEN claim_currency IS NULL THEN user_id END AS user_id,
        activity_id,
        is_dated,
        CASE
            WHEN claim_currency IS NULL THEN 'unclaimed'
            WHEN claim_currency <> currency THEN 'other_currency'
            WHEN claim_day = day THEN 'kept'
            ELSE 'to_other_days'
        END AS fate,
        sum(sign) AS bets,
        sum(sign * turnover) AS turnover
    FROM moved_states
    WHERE is_alone AND day = any(%(kept)s::date[])
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    HAVING sum(sign) <> 0 OR sum(sign * turnover) <> 0
),

-- Only an unclaimed bet has a user, only a claimed one an activity: the fate tells an empty one from none.
gone AS (
    DELETE FROM recon.day_sums AS s
    USING moved AS m
    WHERE
        s.agent = %(agent)s AND s.day = m.day AND s.currency = m.currency AND s.game_id = m.game_id
        AND s.fate = m.fate AND s.is_dated = m.is_dated
        AND coalesce(s.user_id, '') = coalesce(m.user_id, '')
        AND coalesce(s.activity_id, '') = coalesce(m.activity_id, '')
    RETURNING
        s.day, s.currency, s.game_id, s.user_id, s.activity_id, s.is_dated, s.fate, s.bets, s.turnover
)

INSERT INTO recon.day_sums (
    agent, day, currency, game_id, user_id, activity_id, is_dated, fate, bets, turnover, run_id
)
SELECT
    %(agent)s,
    day,
    currency,
    game_id,
    user_id,
    activity_id,
    is_dated,
    fate,
    sum(bets),
    sum(turnover),
    %(run_id)s
FROM (
    SELECT * FROM gone
    UNION ALL
    SELECT * FROM moved
) AS a
GROUP BY 2, 3, 4, 5, 6, 7, 8
-- Turnover without a bet breaks a constraint of the table, and so does less than none.
HAVING sum(bets) <> 0 OR sum(turnover) <> 0
