-- The settled bets of the given days: the day of settle_time in the agent's timezone. Without a settle_time it is the
-- day of bet_time, which never changes: each settled bet belongs to exactly one day. Parameters: agent, days, settings.
WITH days AS (
    SELECT
        d.day,
        d.day::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS starts,
        (d.day + 1)::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS ends
    FROM unnest(%(days)s::date[]) AS d (day)
)

INSERT INTO day_bets (bet_id, day, user_id, currency, game_id, turnover, is_dated)
SELECT
    b.id,
    d.day,
    b.user_id,
    b.currency,
    b.game_id,
    b.valid_bet_turnover,
    TRUE
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
