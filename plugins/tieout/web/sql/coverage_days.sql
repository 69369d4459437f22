-- How many slices of each feed and UTC day are in which state: ops.slice_status over part of the time, with slices of
-- no activity apart from other certified ones, and what was forgotten before the feed was declared left out. A slice
-- belongs to the day in which it starts.
-- Parameters: providers, agents, feeds (arrays of the same length), since, until.
WITH feeds AS MATERIALIZED (
    SELECT
        a.provider,
        a.feed,
        a.agent,
        a.lag,
        a.reach,
        a.first_known_at,
        w.width,
        CASE WHEN f.floor < w.since THEN f.floor + w.width ELSE f.floor END AS since,
        least(coalesce(a.stop_at, 'infinity'), now(), %(until)s::timestamptz) AS until
    FROM unnest(%(providers)s::text[], %(feeds)s::text[], %(agents)s::text[]) AS u (provider, feed, agent)
    INNER JOIN ops.agents AS a ON a.provider = u.provider AND a.feed = u.feed AND a.agent = u.agent
    CROSS JOIN
        LATERAL (
            SELECT
                make_interval(secs => extract(EPOCH FROM a.slice_width)::double precision) AS width,
                greatest(a.start_at, %(since)s::timestamptz) AS since
        ) AS w
    CROSS JOIN LATERAL (
        SELECT date_bin(w.width, w.since, timestamptz '2000-01-01 00:00+00' + a.slice_anchor) AS floor
    ) AS f
),

proofs AS MATERIALIZED (
    SELECT
        f.provider,
        f.feed,
        f.agent,
        p.certified,
        p.active,
        u.suspect,
        u.landed
    FROM feeds AS f
    INNER JOIN ops.proofs AS p ON p.provider = f.provider AND p.feed = f.feed AND p.agent = f.agent
    CROSS JOIN LATERAL (
        SELECT
            coalesce(range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.state = 'suspect'), '{}')
                AS suspect,
            coalesce(range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.state = 'landed'), '{}')
                AS landed
        FROM ops.readings AS r
        WHERE
            r.provider = f.provider AND r.feed = f.feed AND r.agent = f.agent AND r.state <> 'certified'
            AND r.slice_start < f.until + f.width
            AND r.slice_end > f.since
    ) AS u
),

-- Materialized: its state would be worked out anew for each of the counts.
slices AS MATERIALIZED (
    SELECT
        f.provider,
        f.feed,
        f.agent,
        s.slice_start,
        s.slice_start + f.reach AS deadline,
        CASE
            WHEN p.certified @> r.covers THEN CASE WHEN p.active && r.covers THEN 'certified' ELSE 'no_activity' END
            WHEN now() < s.slice_start + f.width + f.lag THEN 'due'
            WHEN p.suspect && r.covers THEN 'suspect'
            WHEN p.landed && r.covers THEN 'landed'
            WHEN s.slice_start + f.reach < f.first_known_at THEN 'never_ours'
            WHEN s.slice_start < now() - f.reach THEN 'lost'
            ELSE 'missing'
        END AS status
    FROM feeds AS f
    INNER JOIN proofs AS p ON p.provider = f.provider AND p.feed = f.feed AND p.agent = f.agent
    CROSS JOIN LATERAL generate_series(f.since, f.until - interval '1 microsecond', f.width) AS s (slice_start)
    CROSS JOIN LATERAL (SELECT tstzrange(s.slice_start, s.slice_start + f.width) AS covers) AS r
)

SELECT
    provider,
    feed,
    agent,
    (slice_start AT TIME ZONE 'UTC')::date AS day,
    count(*) FILTER (WHERE status = 'certified') AS certified,
    count(*) FILTER (WHERE status = 'no_activity') AS no_activity,
    count(*) FILTER (WHERE status = 'due') AS due,
    count(*) FILTER (WHERE status = 'landed') AS landed,
    count(*) FILTER (WHERE status = 'suspect') AS suspect,
    count(*) FILTER (WHERE status = 'missing') AS missing,
    count(*) FILTER (WHERE status = 'lost') AS lost,
    min(deadline) FILTER (WHERE status IN ('missing', 'suspect', 'landed') AND deadline >= now()) AS deadline
FROM slices
WHERE status <> 'never_ours'
GROUP BY 1, 2, 3, 4
