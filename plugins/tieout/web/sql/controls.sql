-- Control totals, filtered; the caller adds the order and the page. Parameters: dags (those somebody may read; who may
-- read any feed of the agent sees them), agent, provider, first, last, state.
SELECT
    t.day,
    t.agent,
    t.provider,
    t.state,
    t.games,
    t.differing,
    t.hours_open,
    t.starts_at,
    t.ends_at,
    t.control_read_at,
    t.hours_read_from,
    t.hours_read_to,
    t.landing_uri
FROM recon.control_totals AS t
WHERE
    (t.provider, t.agent) IN (
        SELECT
            a.provider,
            a.agent
        FROM ops.agents AS a
        WHERE a.provider || '__' || a.feed || '__' || a.agent = any(%(dags)s::text[])
    )
    AND (%(agent)s::text IS NULL OR t.agent = %(agent)s)
    AND (%(provider)s::text IS NULL OR t.provider = %(provider)s)
    AND (%(first)s::date IS NULL OR t.day >= %(first)s)
    AND (%(last)s::date IS NULL OR t.day <= %(last)s)
    AND (%(state)s::text IS NULL OR t.state = %(state)s)
