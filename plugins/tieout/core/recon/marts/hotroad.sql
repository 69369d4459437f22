-- HotRoad's part of mart.turnover_daily: hours, which belong to the day they begin on; no users, no number of bets.
-- Parameters: agent, days, timezone.
INSERT INTO mart.turnover_daily (
    provider, agent, day, day_rule, user_id, currency, game, bets, turnover, win_loss, rebate
)
SELECT
    'hotroad',
    %(agent)s,
    d.day,
    'hour of the bet; ' || %(timezone)s,
    '',
    s.currency,
    s.game_type || '/' || s.game_code,
    NULL,
    sum(greatest(s.valid_bet, 0)),
    sum(s.win_loss),
    sum(coalesce(s.commission, 0))
FROM unnest(%(days)s::date[]) AS d (day)
INNER JOIN staging.hotroad_summary AS s
    ON
        s.agent = %(agent)s AND s.retired_at IS NULL
        AND s.hour_start >= d.day::timestamp AT TIME ZONE %(timezone)s
        AND s.hour_start < (d.day + 1)::timestamp AT TIME ZONE %(timezone)s
GROUP BY d.day, s.currency, s.game_type, s.game_code
