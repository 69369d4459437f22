-- What day_several.sql says, of many days: the shared bets are fewer than the days' bets. Parameters: agent, days,
-- settings.
INSERT INTO day_several (bet_id)
SELECT s.bet_id
FROM recon.shared_bets AS s
INNER JOIN staging.lucko_bets AS b ON b.agent = s.agent AND b.id = s.bet_id AND b.status = 1
WHERE
    s.agent = %(agent)s
    AND (coalesce(b.settle_time, b.bet_time) AT TIME ZONE (%(settings)s::jsonb ->> 'timezone'))::date
    = any(%(days)s::date[])
UNION
SELECT s.bet_id
FROM day_away AS a
INNER JOIN recon.shared_bets AS s ON s.agent = %(agent)s AND s.bet_id = a.bet_id
