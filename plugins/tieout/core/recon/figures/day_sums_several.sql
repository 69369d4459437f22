-- The days' bets that may have several claims, added up by what became of them: the first claim decides. Parameters:
-- agent, days, settings.
INSERT INTO day_sums (day, currency, game_id, user_id, activity_id, is_dated, fate, bets, turnover)
SELECT
    day,
    currency,
    game_id,
    user_id,
    NULL,
    is_dated,
    fate,
    count(*),
    sum(turnover)
FROM (
    SELECT
        d.day,
        b.currency,
        b.game_id,
        CASE WHEN c.bet_id IS NULL THEN b.user_id END AS user_id,
        b.settle_time IS NOT NULL AS is_dated,
        CASE
            WHEN c.bet_id IS NULL THEN 'unclaimed'
            WHEN NOT c.is_own_currency THEN 'other_currency'
            WHEN c.rebate_day = d.day THEN 'kept'
            ELSE 'to_other_days'
        END AS fate,
        b.valid_bet_turnover AS turnover
    FROM day_several AS s
    INNER JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = s.bet_id AND b.status = 1
    CROSS JOIN
        LATERAL (
            SELECT (coalesce(b.settle_time, b.bet_time) AT TIME ZONE (%(settings)s::jsonb ->> 'timezone'))::date AS day
        ) AS d
    LEFT JOIN day_claims AS c ON c.bet_id = s.bet_id AND c.is_first
    WHERE d.day = any(%(days)s::date[])
) AS f
GROUP BY 1, 2, 3, 4, 6, 7
