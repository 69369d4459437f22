-- Lucko's part of mart.turnover_daily: settled bets by game, and successful rebates, which know no game.
-- Parameters: agent, days, timezone.
WITH days AS (
    SELECT
        d.day,
        d.day::timestamp AT TIME ZONE %(timezone)s AS starts,
        (d.day + 1)::timestamp AT TIME ZONE %(timezone)s AS ends
    FROM unnest(%(days)s::date[]) AS d (day)
),

bets AS (
    SELECT
        d.day,
        b.*
    FROM days AS d
    INNER JOIN staging.lucko_bets AS b
        ON b.agent = %(agent)s AND b.status = 1 AND b.settle_time >= d.starts AND b.settle_time < d.ends
    UNION ALL
    SELECT
        d.day,
        b.*
    FROM days AS d
    INNER JOIN staging.lucko_bets AS b
        ON
            b.agent = %(agent)s AND b.status = 1 AND b.settle_time IS NULL
            AND b.bet_time >= d.starts AND b.bet_time < d.ends
)

INSERT INTO mart.turnover_daily (
    provider, agent, day, day_rule, user_id, currency, game, bets, turnover, win_loss, rebate
)
SELECT
    'lucko',
    %(agent)s,
    day,
    'settle_time, else bet_time; ' || %(timezone)s,
    user_id,
    currency,
    game_id,
    count(*),
    sum(greatest(valid_bet_turnover, 0)),
    sum(coalesce(real_win_amount, win_amount - bet_amount, 0)),
    0
FROM bets
GROUP BY day, user_id, currency, game_id
UNION ALL
SELECT
    'lucko',
    %(agent)s,
    d.day,
    'date of the rebate; UTC',
    r.user_id,
    r.currency,
    '',
    0,
    0,
    0,
    sum(r.rebate_amount)
FROM days AS d
INNER JOIN staging.lucko_rebates AS r
    ON
        r.agent = %(agent)s AND r.status <> 0
        AND r.date >= d.day::timestamp AT TIME ZONE 'UTC' AND r.date < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY d.day, r.user_id, r.currency
