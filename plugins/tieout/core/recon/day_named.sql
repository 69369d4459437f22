-- The bets that the successful rebates of the given days name. Parameters: agent, days.
CREATE TEMP TABLE day_named ON COMMIT DROP AS
SELECT
    d.day,
    l.bet_id,
    r.activity_id,
    r.currency
FROM unnest(%(days)s::date[]) AS d (day)
INNER JOIN staging.lucko_rebates AS r
    ON
        r.agent = %(agent)s AND r.status <> 0
        AND r.date >= d.day::timestamp AT TIME ZONE 'UTC' AND r.date < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = r.agent AND l.rebate_id = r.id
