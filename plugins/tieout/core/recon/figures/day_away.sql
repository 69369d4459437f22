-- Claims of the given days' rebates on bets of other days than theirs: verdicts tell which rebates have such bets.
-- Parameters: agent, days, settings.
INSERT INTO day_away (bet_id, rebate_day, currency, turnover, is_own_currency)
SELECT
    b.id,
    v.day,
    b.currency,
    b.valid_bet_turnover,
    r.currency = b.currency
FROM recon.rebates AS v
INNER JOIN staging.lucko_rebates AS r ON r.agent = v.agent AND r.id = v.rebate_id AND r.status <> 0
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = r.agent AND l.rebate_id = r.id
INNER JOIN staging.lucko_bets AS b ON b.agent = l.agent AND b.id = l.bet_id AND b.status = 1
WHERE
    v.agent = %(agent)s AND v.day = any(%(days)s::date[]) AND v.bets_of_other_days > 0
    AND (coalesce(b.settle_time, b.bet_time) AT TIME ZONE (%(settings)s::jsonb ->> 'timezone'))::date <> v.day
