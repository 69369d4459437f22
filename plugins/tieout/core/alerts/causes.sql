-- Every cause of an alert as it stands. Open time is computed per feed from ranges, never slice by slice: a thousand
-- feeds are a thousand rows. Parameters: before_lost, stale_after, suspect_after, throttled_within, judged_within,
-- overpaid (jsonb: currency or "default" → amount as text).
WITH feeds AS MATERIALIZED (
    SELECT
        a.*,
        tstzmultirange(
            tstzrange(greatest(a.start_at, now() - a.reach), greatest(
                least(
                    now() - a.lag - make_interval(secs => extract(EPOCH FROM a.slice_width)::double precision),
                    a.stop_at
                ),
                greatest(a.start_at, now() - a.reach)
            ))
        ) - coalesce((
            SELECT range_agg(tstzrange(r.slice_start, r.slice_end))
            FROM ops.readings AS r
            WHERE
                r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent
                AND r.state = 'certified' AND r.g_types @> a.g_types
        ), '{}') AS open_time
    FROM ops.agents AS a
),

losing AS (
    SELECT
        f.provider,
        f.feed,
        f.agent,
        lower(f.open_time * dying.span) AS since,
        lower(f.open_time * dying.span) + f.reach AS deadline
    FROM feeds AS f
    CROSS JOIN
        LATERAL (
            SELECT tstzmultirange(tstzrange(now() - f.reach, now() - f.reach + %(before_lost)s)) AS span
        ) AS dying
    WHERE f.reach IS NOT NULL AND NOT isempty(f.open_time * dying.span)
),

stale AS (
    SELECT
        f.provider,
        f.feed,
        f.agent,
        newest.read_to
    FROM feeds AS f
    CROSS JOIN
        LATERAL (
            SELECT max(r.slice_end) AS read_to
            FROM ops.readings AS r
            WHERE r.provider = f.provider AND r.feed = f.feed AND r.agent = f.agent AND r.state = 'certified'
        ) AS newest
    WHERE
        NOT isempty(f.open_time)
        AND greatest(newest.read_to, f.start_at, f.first_known_at - f.lag) + f.lag
        + make_interval(secs => extract(EPOCH FROM f.slice_width)::double precision) + %(stale_after)s <= now()
        AND upper(f.open_time) > coalesce(newest.read_to, f.start_at)
),

suspect AS (
    SELECT DISTINCT ON (r.provider, r.feed, r.agent, r.slice_start)
        r.provider,
        r.feed,
        r.agent,
        r.slice_start,
        r.slice_end,
        r.reason,
        r.pulled_at
    FROM ops.readings AS r
    INNER JOIN feeds AS f ON f.provider = r.provider AND f.feed = r.feed AND f.agent = r.agent
    WHERE r.state = 'suspect' AND f.open_time && tstzrange(r.slice_start, r.slice_end)
    ORDER BY r.provider, r.feed, r.agent, r.slice_start, r.pulled_at
),

unjudged AS (
    SELECT
        a.agent,
        d.day::date AS day
    FROM ops.agents AS a
    INNER JOIN ops.config AS c ON c.provider = a.provider AND c.agent = a.agent
    CROSS JOIN
        LATERAL (
            SELECT
                c.reconciliation ->> 'timezone' AS timezone,
                make_interval(secs => (c.reconciliation ->> 'judge_after_seconds')::int) + %(judged_within)s AS wait
        ) AS s
    CROSS JOIN
        LATERAL generate_series(
            greatest(a.first_known_at, now() - interval '14 days') AT TIME ZONE s.timezone,
            least(now() - s.wait, coalesce(a.stop_at, 'infinity')) AT TIME ZONE s.timezone - interval '1 day',
            interval '1 day'
        ) AS d (day)
    WHERE
        a.provider = 'lucko' AND a.feed = 'rebates'
        AND NOT EXISTS (
            SELECT FROM recon.runs AS r
            WHERE
                r.agent = a.agent AND r.kind = 'full' AND r.days @> ARRAY[d.day::date]
        )
),

-- Of each agent's loads only those behind the newest one that was taken in are looked at: a few of all. What committed
-- out of order before it is taken in by the next run.
late AS (
    SELECT
        a.provider,
        a.agent,
        w.dag,
        min(l.started_at) AS since,
        count(*) AS loads
    FROM (SELECT DISTINCT provider, agent FROM ops.agents) AS a
    CROSS JOIN
        LATERAL (
            SELECT
                'rejudge' AS dag,
                (SELECT max(i.load_id) FROM recon.run_inputs AS i WHERE i.agent = a.agent) AS newest
            WHERE a.provider = 'lucko'
            UNION ALL
            SELECT
                'mart',
                (SELECT max(i.load_id) FROM mart.inputs AS i WHERE i.provider = a.provider AND i.agent = a.agent)
        ) AS w
    INNER JOIN
        ops.loads AS l
        ON l.provider = a.provider AND l.agent = a.agent AND l.load_id > coalesce(w.newest, 0)
    WHERE
        l.started_at > now() - interval '14 days' AND l.started_at + %(judged_within)s <= now()
        -- A load that changed nothing leaves nothing to be done.
        AND l.inserted + l.updated + l.retired > 0
    GROUP BY a.provider, a.agent, w.dag
)

SELECT
    'losing' AS kind,
    concat_ws('/', provider, feed, agent) AS cause,
    provider,
    feed,
    agent,
    since,
    deadline AS until,
    '' AS detail
FROM losing
UNION ALL
SELECT
    'lost',
    concat_ws('/', provider, feed, agent, to_char(gap_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
    provider,
    feed,
    agent,
    gap_start,
    gap_end,
    slices || ' slice(s)'
FROM ops.lost
UNION ALL
SELECT
    'stale',
    concat_ws('/', provider, feed, agent),
    provider,
    feed,
    agent,
    read_to,
    NULL,
    ''
FROM stale
UNION ALL
SELECT
    'suspect',
    -- By day: a night of suspect slices is one cause, and one that stays suspect hides no later day.
    concat_ws('/', provider, feed, agent, (slice_start AT TIME ZONE 'UTC')::date),
    provider,
    feed,
    agent,
    min(slice_start),
    max(slice_end),
    format(
        '%%s slice(s) from %%s UTC%%s, the last: %%s', count(*),
        array_to_string(
            (array_agg(to_char(slice_start AT TIME ZONE 'UTC', 'HH24:MI') ORDER BY slice_start))[1:24], ', '
        ),
        CASE WHEN count(*) > 24 THEN ', …' ELSE '' END,
        coalesce((array_agg(reason ORDER BY slice_start DESC))[1], '')
    )
FROM suspect
WHERE pulled_at + %(suspect_after)s <= now()
GROUP BY provider, feed, agent, (slice_start AT TIME ZONE 'UTC')::date
UNION ALL
SELECT
    'late',
    concat_ws('/', provider, dag, agent),
    provider,
    dag,
    agent,
    since,
    NULL,
    loads || ' load(s)'
FROM late
UNION ALL
SELECT
    'throttled',
    concat_ws('/', provider, endpoint, merchant_id),
    provider,
    endpoint,
    merchant_id,
    throttled_at,
    NULL,
    throttled || ' answers so far'
FROM ops.quota
WHERE throttled_at + %(throttled_within)s > now()
UNION ALL
SELECT
    'unjudged',
    concat_ws('/', agent, day),
    'lucko',
    'rebates',
    agent,
    day::timestamp AT TIME ZONE 'UTC',
    NULL,
    day::text
FROM unjudged
UNION ALL
SELECT
    'overpaid',
    concat_ws('/', agent, rebate_id),
    'lucko',
    'rebates',
    agent,
    min(opened_at),
    NULL,
    format(
        'rebate %%s of user %%s, day %%s: %%s %%s %%s (%%s)', rebate_id, max(user_id), max(day),
        CASE WHEN max(overpaid) < 0 THEN 'underpaid' ELSE 'overpaid' END, abs(max(overpaid)), max(currency),
        string_agg(reason, ', ' ORDER BY reason)
    )
FROM recon.breaks
WHERE
    state IN ('open', 'reopened')
    AND abs(overpaid) >= coalesce(
        (%(overpaid)s::jsonb ->> currency)::numeric, (%(overpaid)s::jsonb ->> 'default')::numeric, 'infinity'
    )
GROUP BY agent, rebate_id
ORDER BY kind, cause
