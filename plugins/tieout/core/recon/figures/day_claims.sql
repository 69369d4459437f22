-- Every claim on the bets that may have several. A bet's first claim is the earliest in its own currency, else the
-- earliest: a claim in another currency is in no sum, so it must not take the place of one that is.
-- Parameters: agent, settings.
INSERT INTO day_claims (
    bet_id, activity_id, rebate_day, bet_day, currency, game_id, turnover, is_own_currency, is_first,
    is_first_of_activity
)
SELECT
    b.id,
    r.activity_id,
    (r.date AT TIME ZONE 'UTC')::date,
    (coalesce(b.settle_time, b.bet_time) AT TIME ZONE (%(settings)s::jsonb ->> 'timezone'))::date,
    b.currency,
    b.game_id,
    b.valid_bet_turnover,
    r.currency = b.currency,
    row_number() OVER (PARTITION BY b.id ORDER BY r.currency = b.currency DESC, r.create_time ASC, r.id ASC) = 1,
    row_number()
        OVER (
            PARTITION BY b.id, r.activity_id
            ORDER BY r.currency = b.currency DESC, r.create_time ASC, r.id ASC
        )
    = 1
FROM day_several AS t
INNER JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = t.bet_id AND b.status = 1
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = t.bet_id
INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = l.rebate_id AND r.status <> 0
