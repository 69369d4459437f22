-- Days of the bets that the loads changed, and of the slices they read: a bet that was superseded there is gone.
-- Parameters: agent, loads, timezone.
SELECT (bet_time AT TIME ZONE %(timezone)s)::date
FROM staging.vertexplay_betlogs
WHERE agent = %(agent)s AND load_id = any(%(loads)s::bigint[])
UNION
SELECT d.day::date
FROM ops.loads AS l
INNER JOIN ops.readings AS r
    ON r.reading_id = l.reading_id AND r.provider = l.provider AND r.feed = l.feed AND r.agent = l.agent
CROSS JOIN
    LATERAL generate_series(
        date_trunc('day', r.slice_start AT TIME ZONE %(timezone)s),
        (r.slice_end - interval '1 microsecond') AT TIME ZONE %(timezone)s,
        interval '1 day'
    ) AS d (day)
WHERE
    l.provider = 'vertexplay' AND l.agent = %(agent)s AND l.load_id = any(%(loads)s::bigint[])
    AND l.inserted + l.updated > 0
