-- What the moved bets were in the daily figures (sign -1) and what they are (sign 1), a row for each claim; what was
-- and is no settled bet is in none. is_alone: several rebates did not, or do not, name it, so that it is counted in
-- recon.day_sums. Parameters: agent, run_id, loads, settings.
CREATE TEMP TABLE moved_states ON COMMIT DROP AS
WITH settled AS (
    SELECT
        m.bet_id,
        -1 AS sign,
        v.user_id,
        v.game_id,
        v.currency,
        v.settle_time,
        v.bet_time,
        v.valid_bet_turnover AS turnover
    FROM moved_bets AS m
    INNER JOIN staging.lucko_bet_versions AS v
        ON v.agent = %(agent)s AND v.id = m.bet_id AND v.pulled_at = m.before_at AND v.status = 1
    UNION ALL
    SELECT
        m.bet_id,
        s.sign,
        m.user_id,
        m.game_id,
        m.currency,
        m.settle_time,
        m.bet_time,
        m.turnover
    FROM moved_bets AS m
    INNER JOIN (VALUES (-1), (1)) AS s (sign) ON s.sign = 1 OR NOT m.is_changed
    WHERE m.status = 1
),

claims AS (
    SELECT
        m.bet_id,
        s.sign,
        r.date,
        r.currency,
        r.activity_id
    FROM moved_bets AS m
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = m.bet_id
    INNER JOIN staging.lucko_rebates AS r
        ON r.agent = l.agent AND r.id = l.rebate_id AND r.status <> 0 AND r.load_id <> all(%(loads)s::bigint[])
    CROSS JOIN (VALUES (-1), (1)) AS s (sign)
    UNION ALL
    SELECT
        named.bet_id,
        CASE WHEN r.is_after THEN 1 ELSE -1 END,
        r.date,
        r.currency,
        r.activity_id
    FROM moved_rebates AS r
    CROSS JOIN
        LATERAL (
            SELECT DISTINCT n.bet_id COLLATE "C" AS bet_id FROM jsonb_array_elements_text(r.txn_ids) AS n (bet_id)
        ) AS named
    WHERE r.status <> 0
)

SELECT
    s.bet_id,
    s.sign,
    (coalesce(s.settle_time, s.bet_time) AT TIME ZONE (%(settings)s::jsonb ->> 'timezone'))::date AS day,
    s.currency,
    s.game_id,
    s.user_id,
    s.settle_time IS NOT NULL AS is_dated,
    s.turnover,
    (c.date AT TIME ZONE 'UTC')::date AS claim_day,
    c.currency AS claim_currency,
    c.activity_id,
    -- What has become one of several since loads were last consumed was counted like all others until then.
    h.bet_id IS NULL OR (s.sign = -1 AND h.run_id > n.run_id) AS is_alone
FROM settled AS s
LEFT JOIN claims AS c ON c.bet_id = s.bet_id AND c.sign = s.sign
LEFT JOIN recon.shared_bets AS h ON h.agent = %(agent)s AND h.bet_id = s.bet_id
CROSS JOIN (
    SELECT coalesce(max(run_id), 0) AS run_id
    FROM recon.runs
    WHERE agent = %(agent)s AND kind = 'incremental' AND run_id < %(run_id)s
) AS n
