-- Feeds that are not complete, over all time that providers can still be asked for and a day beyond, worst first.
-- Most feeds are complete: whether anything is uncovered is asked before looking at slices.
-- Parameters: none; the caller leaves out what its viewer may not see.
WITH expected AS MATERIALIZED (
    SELECT
        a.provider,
        a.feed,
        a.agent,
        a.g_types,
        tstzrange(w.since, w.until) AS range
    FROM ops.agents AS a
    CROSS JOIN
        LATERAL (
            SELECT
                make_interval(secs => extract(EPOCH FROM a.slice_width)::double precision) AS width,
                greatest(a.start_at, now() - coalesce(a.reach, interval '90 days') - interval '1 day') AS since,
                timestamptz '2000-01-01 00:00+00' + a.slice_anchor AS anchor
        ) AS d
    CROSS JOIN
        LATERAL (
            SELECT
                date_bin(d.width, d.since + d.width - interval '1 microsecond', d.anchor) AS since,
                date_bin(d.width, least(coalesce(a.stop_at, 'infinity'), now() - a.lag), d.anchor) AS until
        ) AS w
    WHERE w.since < w.until
),

incomplete AS MATERIALIZED (
    SELECT
        e.provider,
        e.feed,
        e.agent
    FROM expected AS e
    WHERE
        NOT coalesce((
            SELECT range_agg(tstzrange(r.slice_start, r.slice_end))
            FROM ops.readings AS r
            WHERE
                r.provider = e.provider AND r.feed = e.feed AND r.agent = e.agent
                AND r.state = 'certified' AND r.g_types @> e.g_types
                AND r.slice_start < upper(e.range) AND r.slice_end > lower(e.range)
        ), '{}') @> e.range
)

SELECT
    s.provider,
    s.feed,
    s.agent,
    now() AS as_of,
    count(*) FILTER (WHERE s.status = 'landed') AS landed,
    count(*) FILTER (WHERE s.status = 'suspect') AS suspect,
    count(*) FILTER (WHERE s.status = 'missing') AS missing,
    count(*) FILTER (WHERE s.status = 'lost') AS lost,
    min(s.deadline) FILTER (WHERE s.status <> 'lost' AND s.deadline >= now()) AS deadline
FROM incomplete AS i
INNER JOIN ops.agents AS a ON a.provider = i.provider AND a.feed = i.feed AND a.agent = i.agent
INNER JOIN ops.slice_status AS s ON s.provider = i.provider AND s.feed = i.feed AND s.agent = i.agent
WHERE
    s.status IN ('landed', 'suspect', 'missing', 'lost')
    AND (s.status <> 'lost' OR s.deadline >= a.first_known_at)
GROUP BY s.provider, s.feed, s.agent
ORDER BY deadline ASC NULLS LAST, lost DESC, s.provider ASC, s.agent ASC, s.feed ASC
