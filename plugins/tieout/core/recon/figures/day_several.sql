-- The bets concerned that several rebates name, each of which may be a claim: those of the given days, found through
-- the index on settle_time or one by one, and those that rebates of the days claim. Parameters: agent, days, settings.
WITH days AS (
    SELECT
        d.day::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS starts,
        (d.day + 1)::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS ends
    FROM unnest(%(days)s::date[]) AS d (day)
)

INSERT INTO day_several (bet_id)
SELECT s.bet_id
FROM days AS d
INNER JOIN staging.lucko_bets AS b
    ON b.agent = %(agent)s AND b.status = 1 AND b.settle_time >= d.starts AND b.settle_time < d.ends
INNER JOIN recon.shared_bets AS s ON s.agent = b.agent AND s.bet_id = b.id
UNION
SELECT s.bet_id
FROM days AS d
INNER JOIN staging.lucko_bets AS b
    ON
        b.agent = %(agent)s AND b.status = 1 AND b.settle_time IS NULL
        AND b.bet_time >= d.starts AND b.bet_time < d.ends
INNER JOIN recon.shared_bets AS s ON s.agent = b.agent AND s.bet_id = b.id
UNION
SELECT s.bet_id
FROM day_away AS a
INNER JOIN recon.shared_bets AS s ON s.agent = %(agent)s AND s.bet_id = a.bet_id
