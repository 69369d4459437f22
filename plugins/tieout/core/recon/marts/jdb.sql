-- JDB's part of mart.turnover_daily: report dates as they are; validBet comes as a negative number.
-- Parameters: agent, days.
INSERT INTO mart.turnover_daily (
    provider, agent, day, day_rule, user_id, currency, game, bets, turnover, win_loss, rebate
)
SELECT
    'jdb',
    %(agent)s,
    report_date,
    'report date, noon to noon; UTC+8',
    uid,
    currency,
    g_type,
    sum(count)::bigint,
    sum(greatest(-valid_bet, 0)),
    sum(net_win),
    0
FROM staging.jdb_daily
WHERE agent = %(agent)s AND report_date = any(%(days)s::date[]) AND retired_at IS NULL
GROUP BY report_date, uid, currency, g_type
