-- day_grouped in the form of day_sums: what became of bets by name, unclaimed ones by user.
INSERT INTO day_sums (day, currency, game_id, user_id, activity_id, is_dated, fate, bets, turnover)
SELECT
    day,
    currency,
    game_id,
    NULL,
    activity_id,
    is_dated,
    CASE WHEN NOT is_own_currency THEN 'other_currency' WHEN is_own_day THEN 'kept' ELSE 'to_other_days' END,
    bets,
    turnover
FROM day_grouped
WHERE NOT is_unclaimed
UNION ALL
SELECT
    g.day,
    g.currency,
    g.game_id,
    u.user_id,
    NULL,
    g.is_dated,
    'unclaimed',
    count(*),
    sum(u.turnover)
FROM day_grouped AS g
CROSS JOIN LATERAL unnest(g.users, g.turnovers) AS u (user_id, turnover)
WHERE g.is_unclaimed
GROUP BY 1, 2, 3, 4, 6
