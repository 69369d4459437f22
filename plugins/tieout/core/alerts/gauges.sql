-- What the ledger counts, as gauges: what is not certified within reach, how far behind the newest certified slice is,
-- what is lost, and the breaks that stand. Ranges of feeds, never slice by slice, and nothing adds up all readings:
-- ops.proofs is kept by the monitor. Every declared feed has its rows, at 0 too, so that a gauge falls again.
WITH feeds AS MATERIALIZED (
    SELECT
        a.provider,
        a.feed,
        a.agent,
        extract(EPOCH FROM a.slice_width) AS width,
        s.due,
        tstzmultirange(s.due) - p.certified AS open_time,
        greatest(upper(p.certified), lower(s.due)) AS read_to
    FROM ops.agents AS a
    INNER JOIN ops.proofs AS p ON p.provider = a.provider AND p.feed = a.feed AND p.agent = a.agent
    CROSS JOIN LATERAL (SELECT greatest(a.start_at, now() - a.reach) AS begins) AS b
    CROSS JOIN
        LATERAL (
            SELECT tstzrange(b.begins, greatest(
                least(
                    now() - a.lag - make_interval(secs => extract(EPOCH FROM a.slice_width)::double precision),
                    a.stop_at
                ),
                b.begins
            )) AS due
        ) AS s
),

counted AS (
    SELECT
        f.provider,
        f.feed,
        (
            -- The last one began before the range's end, which is when what began then became due.
            SELECT coalesce(sum(ceil(extract(EPOCH FROM upper(o.span) - lower(o.span)) / f.width)), 0)
            FROM unnest(f.open_time) AS o (span)
        ) AS uncertified,
        (
            SELECT count(DISTINCT r.slice_start)
            FROM ops.readings AS r
            WHERE
                r.provider = f.provider AND r.feed = f.feed AND r.agent = f.agent
                AND r.state = 'suspect' AND f.open_time && tstzrange(r.slice_start, r.slice_end)
        ) AS suspect,
        (
            SELECT coalesce(sum(l.slices), 0)
            FROM ops.lost AS l
            WHERE l.provider = f.provider AND l.feed = f.feed AND l.agent = f.agent
        ) AS lost,
        CASE
            WHEN upper(f.open_time) > f.read_to THEN extract(EPOCH FROM upper(f.due) - f.read_to) + f.width
            ELSE 0
        END AS behind
    FROM feeds AS f
),

of_feeds AS (
    SELECT
        provider,
        feed,
        sum(uncertified) AS uncertified,
        sum(suspect) AS suspect,
        sum(lost) AS lost,
        max(behind) AS behind
    FROM counted
    GROUP BY provider, feed
)

SELECT
    'tieout.slices.' || g.name AS name,
    g.value::bigint AS value,
    ARRAY['provider', 'feed'] AS tags,
    ARRAY[provider, feed] AS tag_values
FROM of_feeds
CROSS JOIN
    LATERAL (
        VALUES ('uncertified', uncertified), ('suspect', suspect), ('lost', lost), ('seconds_behind', behind)
    ) AS g (name, value)
UNION ALL
SELECT
    'tieout.breaks',
    count(b.break_id),
    ARRAY['state'],
    ARRAY[s.state]
FROM unnest(ARRAY['open', 'reopened', 'accepted']) AS s (state)
LEFT JOIN recon.breaks AS b ON b.state = s.state
GROUP BY s.state
ORDER BY name, tag_values
