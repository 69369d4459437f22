-- Which hours of a range have a certified reading, and when the newest of each was made.
-- Parameters: provider, feed, agent, starts, ends, width.
SELECT
    count(*) FILTER (WHERE r.pulled_at IS NULL)::int AS hours_open,
    min(r.pulled_at) AS hours_read_from,
    max(r.pulled_at) AS hours_read_to
FROM
    generate_series(
        %(starts)s::timestamptz, %(ends)s::timestamptz - interval '1 microsecond', %(width)s::interval
    ) AS s (hour_start)
CROSS JOIN LATERAL (
    SELECT max(pulled_at) AS pulled_at
    FROM ops.readings
    WHERE
        provider = %(provider)s AND feed = %(feed)s AND agent = %(agent)s AND state = 'certified'
        AND slice_start <= s.hour_start AND slice_end >= s.hour_start + %(width)s::interval
) AS r
