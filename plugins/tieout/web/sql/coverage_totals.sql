-- Feeds that are not complete, most urgent first: over all time that providers can still be asked for and a day beyond,
-- or since they were declared, as far back as their provider could be asked then. What is certified stands in
-- ops.proofs; only what is left open is looked at slice by slice. Certificates are never taken back: what the monitor
-- wrote down stays true.
-- Parameters: is_all_time, and providers, feeds, agents (arrays of the same length; null: every feed, and the caller
-- leaves out what its viewer may not see).
WITH expected AS MATERIALIZED (
    SELECT
        a.provider,
        a.feed,
        a.agent,
        a.reach,
        a.first_known_at,
        d.width,
        d.anchor,
        tstzmultirange(tstzrange(w.since, w.until)) AS ranges
    FROM ops.agents AS a
    CROSS JOIN
        LATERAL (
            SELECT
                make_interval(secs => extract(EPOCH FROM a.slice_width)::double precision) AS width,
                greatest(
                    a.start_at,
                    CASE
                        WHEN %(is_all_time)s::bool THEN a.first_known_at - a.reach
                        ELSE now() - coalesce(a.reach, interval '90 days') - interval '1 day'
                    END
                ) AS since,
                timestamptz '2000-01-01 00:00+00' + a.slice_anchor AS anchor
        ) AS d
    CROSS JOIN
        LATERAL (
            SELECT
                date_bin(d.width, d.since + d.width - interval '1 microsecond', d.anchor) AS since,
                date_bin(d.width, least(coalesce(a.stop_at, 'infinity'), now() - a.lag), d.anchor) AS until
        ) AS w
    WHERE
        w.since < w.until
        AND (
            %(providers)s::text[] IS NULL
            OR (a.provider, a.feed, a.agent) IN (
                SELECT u.provider, u.feed, u.agent
                FROM unnest(%(providers)s::text[], %(feeds)s::text[], %(agents)s::text[]) AS u (provider, feed, agent)
            )
        )
),

uncovered AS MATERIALIZED (
    SELECT
        e.*,
        e.ranges - p.certified AS gaps
    FROM expected AS e
    INNER JOIN ops.proofs AS p ON p.provider = e.provider AND p.feed = e.feed AND p.agent = e.agent
),

incomplete AS MATERIALIZED (
    SELECT
        u.*,
        p.suspect,
        p.landed
    FROM uncovered AS u
    CROSS JOIN
        LATERAL (
            SELECT
                coalesce(range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.state = 'suspect'), '{}')
                    AS suspect,
                coalesce(range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.state = 'landed'), '{}')
                    AS landed
            FROM ops.readings AS r
            WHERE r.provider = u.provider AND r.feed = u.feed AND r.agent = u.agent AND r.state <> 'certified'
        ) AS p
    WHERE NOT isempty(u.gaps)
),

slices AS MATERIALIZED (
    SELECT
        i.provider,
        i.feed,
        i.agent,
        s.slice_start + i.reach AS deadline,
        CASE
            WHEN i.suspect && s.covers THEN 'suspect'
            WHEN i.landed && s.covers THEN 'landed'
            WHEN s.slice_start + i.reach < i.first_known_at THEN 'never_ours'
            WHEN s.slice_start < now() - i.reach THEN 'lost'
            ELSE 'missing'
        END AS status
    FROM incomplete AS i
    CROSS JOIN
        LATERAL (
            -- Two gaps may lie in one slice.
            SELECT DISTINCT
                g.slice_start,
                tstzrange(g.slice_start, g.slice_start + i.width) AS covers
            FROM unnest(i.gaps) AS gap
            CROSS JOIN
                LATERAL generate_series(
                    date_bin(i.width, lower(gap), i.anchor), upper(gap) - interval '1 microsecond', i.width
                ) AS g (slice_start)
        ) AS s
)

SELECT
    provider,
    feed,
    agent,
    now() AS as_of,
    count(*) FILTER (WHERE status = 'landed') AS landed,
    count(*) FILTER (WHERE status = 'suspect') AS suspect,
    count(*) FILTER (WHERE status = 'missing') AS missing,
    count(*) FILTER (WHERE status = 'lost') AS lost,
    min(deadline) FILTER (WHERE status <> 'lost' AND deadline >= now()) AS deadline
FROM slices
WHERE status <> 'never_ours'
GROUP BY provider, feed, agent
ORDER BY deadline ASC NULLS LAST, lost DESC, provider ASC, agent ASC, feed ASC
