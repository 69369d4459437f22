-- The rate-limited things of the given agents' merchants. Parameters: providers, agents.
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
ORDER BY q.provider, q.merchant_id, q.endpoint
