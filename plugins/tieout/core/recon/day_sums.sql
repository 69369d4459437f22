-- The days' bets, added up by what became of them: unclaimed, kept in the day, claimed by another day or in another
-- currency only. The user is told of unclaimed bets, the activity of bets with one claim. Parameters: agent.
WITH fates AS (
    SELECT
        b.day,
        b.currency,
        b.game_id,
        CASE WHEN r.id IS NULL THEN b.user_id END AS user_id,
        r.activity_id,
        b.is_dated,
        CASE
            WHEN r.id IS NULL THEN 'unclaimed'
            WHEN r.currency <> b.currency THEN 'other_currency'
            WHEN
                r.date >= b.day::timestamp AT TIME ZONE 'UTC' AND r.date < (b.day + 1)::timestamp AT TIME ZONE 'UTC'
                THEN 'kept'
            ELSE 'to_other_days'
        END AS fate,
        b.turnover
    FROM day_bets AS b
    LEFT JOIN (
        SELECT
            l.bet_id,
            r.id,
            r.activity_id,
            r.currency,
            r.date
        FROM staging.lucko_rebate_bets AS l
        INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = l.rebate_id AND r.status <> 0
        WHERE l.agent = %(agent)s
    ) AS r ON r.bet_id = b.bet_id
    WHERE NOT EXISTS (SELECT FROM day_several AS s WHERE s.bet_id = b.bet_id)
    UNION ALL
    SELECT
        b.day,
        b.currency,
        b.game_id,
        CASE WHEN c.bet_id IS NULL THEN b.user_id END,
        NULL,
        b.is_dated,
        CASE
            WHEN c.bet_id IS NULL THEN 'unclaimed'
            WHEN NOT c.is_own_currency THEN 'other_currency'
            WHEN c.rebate_day = b.day THEN 'kept'
            ELSE 'to_other_days'
        END,
        b.turnover
    FROM day_several AS s
    INNER JOIN day_bets AS b ON b.bet_id = s.bet_id
    LEFT JOIN day_claims AS c ON c.bet_id = s.bet_id AND c.is_first
)

INSERT INTO day_sums (day, currency, game_id, user_id, activity_id, is_dated, fate, bets, turnover)
SELECT
    day,
    currency,
    game_id,
    user_id,
    activity_id,
    is_dated,
    fate,
    count(*),
    sum(turnover)
FROM fates
GROUP BY 1, 2, 3, 4, 5, 6, 7
