-- The settled bets of the given days, found through the index on settle_time: the day of settle_time in the agent's
-- timezone. Without a settle_time it is the day of bet_time, which never changes: each settled bet belongs to exactly
-- one day. Parameters: agent, days, settings.
CREATE TEMP TABLE day_bets ON COMMIT DROP AS
WITH days AS (
    SELECT
        d.day,
        d.day::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS starts,
        (d.day + 1)::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS ends
    FROM unnest(%(days)s::date[]) AS d (day)
)

SELECT
    b.id AS bet_id,
    d.day,
    b.user_id,
    b.currency,
    b.game_id,
    b.valid_bet_turnover AS turnover,
    TRUE AS is_dated
FROM days AS d
INNER JOIN staging.lucko_bets AS b
    ON b.agent = %(agent)s AND b.status = 1 AND b.settle_time >= d.starts AND b.settle_time < d.ends
UNION ALL
SELECT
    b.id,
    d.day,
    b.user_id,
    b.currency,
    b.game_id,
    b.valid_bet_turnover,
    FALSE
FROM days AS d
INNER JOIN staging.lucko_bets AS b
    ON
        b.agent = %(agent)s AND b.status = 1 AND b.settle_time IS NULL
        AND b.bet_time >= d.starts AND b.bet_time < d.ends
