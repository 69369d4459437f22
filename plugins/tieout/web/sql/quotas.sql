-- The rate-limited things of the given agents' merchants, and the share of their time that calls have used: this hour
-- so far, and from the same hour yesterday on. A feed's endpoint is shown to whoever may read that feed of an agent of
-- the merchant.
-- Parameters: dags, providers, agents, and spec_providers, spec_feeds, spec_endpoints: what each feed asks.
SELECT
    q.provider,
    q.endpoint,
    q.merchant_id,
    m.agents,
    q.next_free_at - now() AS busy_for,
    q.min_interval,
    q.widened,
    q.reserved,
    q.given_up,
    q.throttled,
    q.throttled_at,
    u.calls_hour,
    u.seconds_hour / greatest(1, extract(EPOCH FROM now()) - h.began) AS share_hour,
    u.calls_day,
    u.seconds_day / (extract(EPOCH FROM now()) - h.began + 86400) AS share_day,
    (
        SELECT count(*)
        FROM jsonb_each(q.waiting) AS w (caller, entry)
        WHERE (w.entry ->> 'until')::timestamptz > now()
    ) AS waiting
FROM (
    SELECT
        a.provider,
        a.merchant_id,
        string_agg(DISTINCT a.agent, ', ' ORDER BY a.agent) AS agents
    FROM ops.agents AS a
    WHERE
        (a.provider, a.agent) IN (
            SELECT u.provider, u.agent FROM unnest(%(providers)s::text[], %(agents)s::text[]) AS u (provider, agent)
        )
        AND a.merchant_id IS NOT NULL
    GROUP BY a.provider, a.merchant_id
) AS m
INNER JOIN ops.quota AS q ON q.provider = m.provider AND q.merchant_id = m.merchant_id
CROSS JOIN LATERAL (SELECT floor(extract(EPOCH FROM now()) / 3600) * 3600 AS began) AS h
CROSS JOIN
    LATERAL (
        SELECT
            coalesce(sum((e.amount ->> 'calls')::bigint) FILTER (WHERE e.hour::bigint * 3600 = h.began), 0)::bigint
                AS calls_hour,
            coalesce(sum((e.amount ->> 'seconds')::numeric) FILTER (WHERE e.hour::bigint * 3600 = h.began), 0)
                AS seconds_hour,
            coalesce(sum((e.amount ->> 'calls')::bigint), 0)::bigint AS calls_day,
            coalesce(sum((e.amount ->> 'seconds')::numeric), 0) AS seconds_day
        FROM jsonb_each(q.used) AS e (hour, amount)
        WHERE e.hour::bigint * 3600 >= h.began - 86400
    ) AS u
WHERE
    (q.provider, q.endpoint) NOT IN (
        SELECT
            s.provider,
            s.endpoint
        FROM unnest(%(spec_providers)s::text[], %(spec_endpoints)s::text[]) AS s (provider, endpoint)
    )
    OR EXISTS (
        SELECT
        FROM
            unnest(%(spec_providers)s::text[], %(spec_feeds)s::text[], %(spec_endpoints)s::text[])
                AS s (provider, feed, endpoint)
        INNER JOIN ops.agents AS a ON a.provider = s.provider AND a.feed = s.feed
        WHERE
            s.provider = q.provider AND s.endpoint = q.endpoint AND a.merchant_id = q.merchant_id
            AND a.provider || '__' || a.feed || '__' || a.agent = any(%(dags)s::text[])
    )
ORDER BY q.provider, q.merchant_id, q.endpoint
