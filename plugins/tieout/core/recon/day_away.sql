-- Claims of the given days' rebates on bets of other days than theirs. Parameters: agent, days, settings.
INSERT INTO day_away (bet_id, rebate_day, currency, turnover, is_own_currency)
SELECT
    b.id,
    d.day,
    b.currency,
    b.valid_bet_turnover,
    r.currency = b.currency
FROM unnest(%(days)s::date[]) AS d (day)
INNER JOIN staging.lucko_rebates AS r
    ON
        r.agent = %(agent)s AND r.status <> 0
        AND r.date >= d.day::timestamp AT TIME ZONE 'UTC' AND r.date < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = r.id
INNER JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = l.bet_id AND b.status = 1
WHERE
    coalesce(b.settle_time, b.bet_time) < d.day::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone')
    OR coalesce(b.settle_time, b.bet_time) >= (d.day + 1)::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone')
