-- Identities of Lucko's bets: those that the loads changed, and those with a break that stands.
-- Parameters: agent, loads, timezone, settings (jsonb).
WITH scope AS (
    SELECT id FROM staging.lucko_bets WHERE agent = %(agent)s AND load_id = any(%(loads)s::bigint[])
    UNION
    SELECT row_key FROM recon.integrity_breaks WHERE provider = 'lucko' AND agent = %(agent)s AND state <> 'healed'
),

checked AS (
    SELECT
        b.*,
        c.identity,
        c.stated,
        c.computed,
        c.rule
    FROM scope AS s
    INNER JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = s.id
    LEFT JOIN LATERAL (
        SELECT sum((item.value #>> '{}')::numeric) AS total
        FROM jsonb_each(CASE jsonb_typeof(b.bet_detail) WHEN 'object' THEN b.bet_detail END) AS item
        -- What is no number is left out: the sum then says so.
        WHERE (item.value #>> '{}') ~ '^-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?$'
    ) AS detail ON TRUE
    CROSS JOIN
        LATERAL (
            VALUES
            (
                'real_win', CASE b.status WHEN 1 THEN b.real_win_amount END, b.win_amount - b.bet_amount,
                'real_win_amount = win_amount - bet_amount'
            ),
            ('bet_detail', b.bet_amount, detail.total, 'bet_amount = sum of bet_detail'),
            ('turnover_sign', b.valid_bet_turnover, greatest(b.valid_bet_turnover, 0), 'valid_bet_turnover >= 0')
        ) AS c (identity, stated, computed, rule)
    WHERE c.stated <> c.computed
)

INSERT INTO integrity_found (
    identity, row_key, feed, day, game_type, user_id, currency, stated, computed, sentence
)
SELECT
    c.identity,
    c.id,
    'bets',
    (coalesce(c.settle_time, c.bet_time) AT TIME ZONE %(timezone)s)::date,
    c.game_id,
    c.user_id,
    c.currency,
    c.stated,
    c.computed,
    format('Bet %%s of user %%s: %%s is broken, %%s against %%s.', c.id, c.user_id, c.rule, c.stated, c.computed)
FROM checked AS c
WHERE NOT recon.is_switched_off(%(settings)s::jsonb, c.identity, c.game_id)
