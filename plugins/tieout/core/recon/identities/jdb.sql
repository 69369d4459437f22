-- Identities of JDB's daily totals: those that the loads changed, and those with a break that stands.
-- Parameters: agent, loads, settings (jsonb).
WITH standing AS (
    SELECT row_key FROM recon.integrity_breaks WHERE provider = 'jdb' AND agent = %(agent)s AND state <> 'healed'
),

scope AS (
    SELECT
        t.*,
        t.report_date::text || '/' || t.g_type || '/' || t.uid AS row_key
    FROM staging.jdb_daily AS t
    WHERE
        t.agent = %(agent)s AND t.retired_at IS NULL
        AND (
            t.load_id = any(%(loads)s::bigint[])
            OR t.report_date::text || '/' || t.g_type || '/' || t.uid IN (SELECT row_key FROM standing)
        )
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
            ('net_win', s.net_win, s.bet + s.win, 'netWin = bet + win'),
            ('turnover_sign', s.valid_bet, least(s.valid_bet, 0), 'validBet <= 0')
        ) AS c (identity, stated, computed, rule)
    WHERE c.stated <> c.computed
)

INSERT INTO integrity_found (
    identity, row_key, feed, day, game_type, user_id, currency, stated, computed, sentence
)
SELECT
    c.identity,
    c.row_key,
    'daily',
    c.report_date,
    c.g_type,
    c.uid,
    c.currency,
    c.stated,
    c.computed,
    format(
        'Report %%s of player %%s, game type %%s: %%s is broken, %%s against %%s.',
        c.report_date, c.uid, c.g_type, c.rule, c.stated, c.computed
    )
FROM checked AS c
WHERE NOT recon.is_switched_off(%(settings)s::jsonb, c.identity, c.g_type)
