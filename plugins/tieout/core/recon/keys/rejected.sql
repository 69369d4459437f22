-- Bets whose row was set aside, last at pulled_at, and whose slice has not been read cleanly since. Parameters: agent.
WITH doubtful AS (
    SELECT
        j.reading_id,
        r.pulled_at,
        tstzrange(r.slice_start, r.slice_end) AS slice
    FROM (
        SELECT DISTINCT reading_id FROM ops.rejects WHERE provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s
    ) AS j
    LEFT JOIN ops.readings AS r ON r.reading_id = j.reading_id
    WHERE
        r.reading_id IS NULL
        OR NOT tstzrange(r.slice_start, r.slice_end) <@ coalesce((
            SELECT range_agg(tstzrange(later.slice_start, later.slice_end))
            FROM ops.readings AS later
            WHERE
                later.provider = 'lucko' AND later.feed = 'bets' AND later.agent = %(agent)s
                AND later.state = 'certified' AND later.pulled_at > r.pulled_at
                AND later.slice_start < r.slice_end AND later.slice_end > r.slice_start
        ), '{}')
)

INSERT INTO judge_rejected (bet_id, pulled_at, slices)
SELECT
    j.natural_key,
    max(d.pulled_at),
    -- Of a reading whose certificate is not known nothing can be named.
    coalesce(range_agg(d.slice) FILTER (WHERE d.pulled_at IS NOT NULL), '{}')
FROM doubtful AS d
INNER JOIN ops.rejects AS j ON j.reading_id = d.reading_id
WHERE j.natural_key IS NOT NULL
GROUP BY j.natural_key
