-- Each feed of the given agents: what is declared, how fresh it is, and what was rejected. Parameters: dags, providers,
-- agents (arrays of the same length), feed.
SELECT
    a.provider,
    a.feed,
    a.agent,
    a.start_at,
    a.stop_at,
    a.first_known_at,
    a.slice_width,
    a.lag,
    a.reach,
    a.merchant_id,
    now() AS as_of,
    fresh.slice_end AS certified_to,
    loaded.loaded_at,
    rejected.rejects,
    rejected.rejected_at,
    rejected.reasons,
    config.reconciliation ->> 'timezone' AS settlement_zone
FROM ops.agents AS a
LEFT JOIN LATERAL (
    SELECT r.slice_end
    FROM ops.readings AS r
    WHERE r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent AND r.state = 'certified'
    ORDER BY r.slice_start DESC
    LIMIT 1
) AS fresh ON TRUE
LEFT JOIN LATERAL (
    -- An expression: the index on loaded_at would walk through the newest loads of all feeds until it meets this one.
    SELECT max(r.loaded_at + interval '0') AS loaded_at
    FROM ops.readings AS r
    WHERE
        r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent
        AND r.slice_start >= fresh.slice_end - interval '2 days'
) AS loaded ON TRUE
LEFT JOIN LATERAL (
    SELECT
        sum(j.found)::bigint AS rejects,
        max(j.newest) AS rejected_at,
        string_agg(j.reason || ' ' || j.found, ', ' ORDER BY j.found DESC, j.reason ASC) AS reasons
    FROM (
        SELECT
            x.reason,
            count(*) AS found,
            max(x.rejected_at) AS newest
        FROM ops.rejects AS x
        WHERE x.provider = a.provider AND x.feed = a.feed AND x.agent = a.agent
        GROUP BY x.reason
    ) AS j
) AS rejected ON TRUE
LEFT JOIN ops.config AS config ON config.provider = a.provider AND config.agent = a.agent
WHERE
    (a.provider, a.agent) IN (
        SELECT u.provider, u.agent FROM unnest(%(providers)s::text[], %(agents)s::text[]) AS u (provider, agent)
    )
    AND a.provider || '__' || a.feed || '__' || a.agent = any(%(dags)s::text[])
    AND (%(feed)s::text IS NULL OR a.feed = %(feed)s)
ORDER BY a.provider, a.agent, a.feed
