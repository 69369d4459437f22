-- Identities of HotRoad's hours: those that the loads changed, and those with a break that stands. An amount that is
-- absent counts as nothing: the provider leaves out what the operator has not enabled.
-- Parameters: agent, loads, timezone, settings (jsonb).
WITH standing AS (
    SELECT row_key FROM recon.integrity_breaks WHERE provider = 'hotroad' AND agent = %(agent)s AND state <> 'healed'
),

hours AS (
    SELECT
        h.*,
        to_char(h.hour_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24"Z"') AS hour,
        coalesce(%(settings)s::jsonb -> 'commission' -> h.game_type, %(settings)s::jsonb -> 'commission' -> 'default')
            AS agreed
    FROM staging.hotroad_summary AS h
    WHERE h.agent = %(agent)s AND h.retired_at IS NULL
),

scope AS (
    SELECT
        h.*,
        h.hour || '/' || h.game_type || '/' || h.game_code AS row_key
    FROM hours AS h
    WHERE
        h.load_id = any(%(loads)s::bigint[])
        OR h.hour || '/' || h.game_type || '/' || h.game_code IN (SELECT row_key FROM standing)
),

checked AS (
    SELECT
        s.*,
        c.identity,
        c.stated,
        c.computed,
        c.rule
    FROM scope AS s
    CROSS JOIN
        LATERAL (
            VALUES
            (
                'bet_amount', s.bet_amount,
                s.real_credit + coalesce(s.free_credit, 0) + coalesce(s.promotion_credit, 0), 0,
                'betAmount = realCredit + freeCredit + promotionCredit'
            ),
            ('win_amount', s.win_amount, s.bet_amount + s.win_loss, 0, 'winAmount = betAmount + winLoss'),
            (
                'commission', coalesce(s.commission, 0),
                recon.round_money(
                    CASE s.agreed ->> 'of' WHEN 'bet_amount' THEN s.bet_amount ELSE s.valid_bet END
                    * (s.agreed ->> 'rate')::numeric * 0.01, 4, 'half_up'
                ),
                (s.agreed ->> 'tolerance')::numeric,
                format('commission = %%s%%%% of %%s', s.agreed ->> 'rate', s.agreed ->> 'of')
            ),
            ('turnover_sign', s.valid_bet, greatest(s.valid_bet, 0), 0, 'validBet >= 0')
        ) AS c (identity, stated, computed, tolerance, rule)
    WHERE abs(c.stated - c.computed) > c.tolerance
)

INSERT INTO integrity_found (
    identity, row_key, feed, day, game_type, user_id, currency, stated, computed, sentence
)
SELECT
    c.identity,
    c.row_key,
    'summary',
    (c.hour_start AT TIME ZONE %(timezone)s)::date,
    c.game_type,
    '',
    c.currency,
    c.stated,
    c.computed,
    format(
        'Hour %%s of %%s/%%s: %%s is broken, %%s against %%s.',
        c.hour, c.game_type, c.game_code, c.rule, c.stated, c.computed
    )
FROM checked AS c
WHERE NOT recon.is_switched_off(%(settings)s::jsonb, c.identity, c.game_type)
