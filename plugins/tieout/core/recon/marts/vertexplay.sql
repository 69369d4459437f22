-- VertexPlay's part of mart.turnover_daily: settled bets. Parameters: agent, days, timezone.
INSERT INTO mart.turnover_daily (
    provider, agent, day, day_rule, user_id, currency, game, bets, turnover, win_loss, rebate
)
SELECT
    'vertexplay',
    %(agent)s,
    d.day,
    'bet_time; ' || %(timezone)s,
    b.username,
    b.currency,
    b.game_code,
    count(*),
    sum(greatest(b.valid_bet_amt, 0)),
    sum(b.win_amt - b.actual_bet_amt),
    0
FROM unnest(%(days)s::date[]) AS d (day)
INNER JOIN staging.vertexplay_betlogs AS b
    ON
        b.agent = %(agent)s AND b.bet_status = 2
        AND b.bet_time >= d.day::timestamp AT TIME ZONE %(timezone)s
        AND b.bet_time < (d.day + 1)::timestamp AT TIME ZONE %(timezone)s
GROUP BY d.day, b.username, b.currency, b.game_code
