-- The days' bets with one claim at most, added up by what became of them: unclaimed, kept in the day, claimed by
-- another day or in another currency only. The user is told of unclaimed bets, the activity of claimed ones. A bet that
-- no rebate of its own day names is looked up in the links. Parameters: agent.
WITH single AS (
    SELECT
        b.*,
        n.activity_id,
        n.currency AS claimed_in,
        n.bet_id IS NOT NULL AS is_named
    FROM day_bets AS b
    LEFT JOIN day_named AS n ON n.bet_id = b.bet_id AND n.day = b.day
    WHERE NOT EXISTS (SELECT FROM day_several AS s WHERE s.bet_id = b.bet_id)
),

fates AS (
    SELECT
        day,
        currency,
        game_id,
        NULL AS user_id,
        activity_id,
        is_dated,
        CASE WHEN claimed_in = currency THEN 'kept' ELSE 'other_currency' END AS fate,
        turnover
    FROM single
    WHERE is_named
    UNION ALL
    SELECT
        s.day,
        s.currency,
        s.game_id,
        CASE WHEN r.claimed_in IS NULL THEN s.user_id END,
        r.activity_id,
        s.is_dated,
        CASE
            WHEN r.claimed_in IS NULL THEN 'unclaimed'
            WHEN r.claimed_in <> s.currency THEN 'other_currency'
            ELSE 'to_other_days'
        END,
        s.turnover
    FROM single AS s
    LEFT JOIN LATERAL (
        SELECT
            r.activity_id,
            r.currency AS claimed_in
        FROM staging.lucko_rebate_bets AS l
        INNER JOIN staging.lucko_rebates AS r ON r.agent = l.agent AND r.id = l.rebate_id AND r.status <> 0
        WHERE l.agent = %(agent)s AND l.bet_id = s.bet_id
        -- There is no more than one; said so, it is looked up, however many there are to look up.
        ORDER BY l.rebate_id
        LIMIT 1
    ) AS r ON TRUE
    WHERE NOT s.is_named
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
