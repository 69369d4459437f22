-- The bets whose part in the daily figures may be another one: those that the new loads changed, and those that changed
-- rebates name or named, as they stand. is_told as in moved_rebates.sql; before_at: when its state before was read.
-- Parameters: agent, loads.
CREATE TEMP TABLE moved_bets ON COMMIT DROP AS
SELECT
    b.id AS bet_id,
    TRUE AS is_changed,
    h.before_at,
    CASE
        WHEN h.before_at IS NULL THEN h.since = b.first_seen_at
        -- Without a new state only what the history does not hold has changed.
        ELSE coalesce(h.before_at < h.since, TRUE)
    END AS is_told,
    b.status,
    b.user_id,
    b.game_id,
    b.currency,
    b.settle_time,
    b.bet_time,
    b.valid_bet_turnover AS turnover
FROM staging.lucko_bets AS b
CROSS JOIN
    LATERAL (
        SELECT
            min(v.pulled_at) FILTER (WHERE v.load_id = any(%(loads)s::bigint[])) AS since,
            max(v.pulled_at) FILTER (WHERE v.load_id <> all(%(loads)s::bigint[])) AS before_at
        FROM staging.lucko_bet_versions AS v
        WHERE v.agent = b.agent AND v.id = b.id
    ) AS h
WHERE b.agent = %(agent)s AND b.load_id = any(%(loads)s::bigint[])
UNION ALL
SELECT
    n.bet_id,
    FALSE,
    NULL,
    TRUE,
    b.status,
    b.user_id,
    b.game_id,
    b.currency,
    b.settle_time,
    b.bet_time,
    b.valid_bet_turnover
FROM (
    SELECT DISTINCT named.bet_id COLLATE "C" AS bet_id
    FROM moved_rebates AS r
    CROSS JOIN LATERAL jsonb_array_elements_text(r.txn_ids) AS named (bet_id)
) AS n
INNER JOIN staging.lucko_bets AS b
    ON b.agent = %(agent)s AND b.id = n.bet_id AND b.load_id <> all(%(loads)s::bigint[])
