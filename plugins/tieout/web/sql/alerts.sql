-- What somebody had to know, filtered; the caller adds the order and the page. An alert is shown to whoever may read
-- the DAG it is about: of a throttled merchant, one of its feeds'; of work that follows loads, one of the agent's.
-- Those that have been gone for a while are only told of days that are asked for. Parameters: dags and agents (those
-- somebody may read), agent, provider, kind, state, first and last (when opened).
SELECT
    a.kind,
    CASE WHEN a.closed_at IS NULL THEN 'open' ELSE 'closed' END AS state,
    a.provider,
    a.feed,
    a.agent,
    a.since,
    a.until,
    a.detail,
    a.opened_at,
    a.closed_at,
    cardinality(a.sent_to) AS told,
    a.cause
FROM ops.alerts AS a
WHERE
    (
        a.closed_at IS NULL OR a.closed_at >= now() - interval '30 days'
        OR %(first)s::date IS NOT NULL OR %(last)s::date IS NOT NULL
    )
    AND (
        a.provider || '__' || a.feed || '__' || a.agent = any(%(dags)s::text[])
        OR (a.kind IN ('unjudged', 'overpaid') AND a.agent = any(%(agents)s::text[]))
        OR EXISTS (
            SELECT
            FROM ops.agents AS g
            WHERE
                g.provider = a.provider AND g.provider || '__' || g.feed || '__' || g.agent = any(%(dags)s::text[])
                AND ((a.kind = 'throttled' AND g.merchant_id = a.agent) OR (a.kind = 'late' AND g.agent = a.agent))
        )
    )
    AND (%(agent)s::text IS NULL OR a.agent = %(agent)s)
    AND (%(provider)s::text IS NULL OR a.provider = %(provider)s)
    AND (%(kind)s::text IS NULL OR a.kind = %(kind)s)
    AND (%(state)s::text IS NULL OR (%(state)s = 'open') = (a.closed_at IS NULL))
    AND (%(first)s::date IS NULL OR (a.opened_at AT TIME ZONE 'UTC')::date >= %(first)s)
    AND (%(last)s::date IS NULL OR (a.opened_at AT TIME ZONE 'UTC')::date <= %(last)s)
