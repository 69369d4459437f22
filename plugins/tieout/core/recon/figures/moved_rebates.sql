-- The rebates that the new loads changed, as they stand and as they stood before. is_told: the history tells what it
-- was, or that there was none. Parameters: agent, loads.
CREATE TEMP TABLE moved_rebates ON COMMIT DROP AS
SELECT
    r.id AS rebate_id,
    s.is_after,
    s.date,
    s.currency,
    s.activity_id,
    s.status,
    s.txn_ids,
    CASE
        WHEN h.before_at IS NULL THEN h.since = r.first_seen_at
        ELSE coalesce(h.before_at < h.since, TRUE)
    END AS is_told
FROM staging.lucko_rebates AS r
CROSS JOIN
    LATERAL (
        SELECT
            min(v.pulled_at) FILTER (WHERE v.load_id = any(%(loads)s::bigint[])) AS since,
            max(v.pulled_at) FILTER (WHERE v.load_id <> all(%(loads)s::bigint[])) AS before_at
        FROM staging.lucko_rebate_versions AS v
        WHERE v.agent = r.agent AND v.id = r.id
    ) AS h
CROSS JOIN
    LATERAL (
        SELECT
            TRUE AS is_after,
            r.date,
            r.currency,
            r.activity_id,
            r.status,
            r.txn_ids
        UNION ALL
        SELECT
            FALSE,
            v.date,
            v.currency,
            v.activity_id,
            v.status,
            v.txn_ids
        FROM staging.lucko_rebate_versions AS v
        WHERE v.agent = r.agent AND v.id = r.id AND v.pulled_at = h.before_at
    ) AS s
WHERE r.agent = %(agent)s AND r.load_id = any(%(loads)s::bigint[])
