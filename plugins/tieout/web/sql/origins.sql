-- The readings that brought some rows: their slices, and the landing files behind them. Parameters: agent, readings.
SELECT
    r.reading_id,
    r.feed,
    r.kind,
    r.state,
    min(r.slice_start) AS slice_start,
    max(r.slice_end) AS slice_end,
    count(*) AS slices,
    max(r.pages) AS pages,
    min(r.pulled_at) AS pulled_at,
    min(r.landing_uri) AS landing_uri,
    min(r.sha256) AS sha256,
    count(*) OVER () AS total
FROM ops.readings AS r
WHERE r.provider = 'lucko' AND r.agent = %(agent)s AND r.reading_id = any(%(readings)s::text[])
GROUP BY r.reading_id, r.feed, r.kind, r.state
ORDER BY r.feed DESC, slice_start ASC, r.reading_id ASC
LIMIT 200
