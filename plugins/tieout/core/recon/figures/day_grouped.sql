-- What day_sums.sql says, of many days, with all links looked at once. It reads no temporary table and its groups look
-- few to the planner (days from a list, facts as booleans, unclaimed bets as lists of users and turnovers): only then
-- does PostgreSQL add up with several processes. Instants find their day by halving: converting each to the timezone
-- would take as long as the joins. Parameters: agent, days (in order), bounds,
-- numbers and labels (see day_bounds.sql).
CREATE TEMP TABLE day_grouped ON COMMIT DROP AS
SELECT
    d.day,
    b.currency,
    b.game_id,
    r.activity_id,
    b.settle_time IS NOT NULL AS is_dated,
    r.status IS NULL AS is_unclaimed,
    r.currency = b.currency AS is_own_currency,
    r.date >= d.label AND r.date < d.label + interval '1 day' AS is_own_day,
    count(*) AS bets,
    sum(b.valid_bet_turnover) AS turnover,
    array_agg(b.user_id) FILTER (WHERE r.status IS NULL) AS users,
    array_agg(b.valid_bet_turnover) FILTER (WHERE r.status IS NULL) AS turnovers
FROM staging.lucko_bets AS b
INNER JOIN unnest(%(days)s::date[], %(labels)s::timestamptz[], %(numbers)s::int[]) AS d (day, label, number)
    ON d.number = width_bucket(coalesce(b.settle_time, b.bet_time), %(bounds)s::timestamptz[])
LEFT JOIN (
    staging.lucko_rebate_bets AS l
    INNER JOIN staging.lucko_rebates AS r ON r.agent = l.agent AND r.id = l.rebate_id AND r.status <> 0
) ON l.agent = b.agent AND l.bet_id = b.id
WHERE
    b.agent = %(agent)s AND b.status = 1
    AND NOT EXISTS (SELECT FROM recon.shared_bets AS s WHERE s.agent = b.agent AND s.bet_id = b.id)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
