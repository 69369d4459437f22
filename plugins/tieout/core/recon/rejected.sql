-- Bets whose row was set aside and whose slice has not been read cleanly since. Parameters: agent.
WITH doubtful AS (
    SELECT r.reading_id
    FROM ops.readings AS r
    WHERE r.provider = 'lucko' AND r.feed = 'bets' AND r.agent = %(agent)s AND r.state = 'suspect' AND r.rejected > 0
        AND NOT tstzrange(r.slice_start, r.slice_end) <@ coalesce((
            SELECT range_agg(tstzrange(later.slice_start, later.slice_end))
            FROM ops.readings AS later
            WHERE later.provider = 'lucko' AND later.feed = 'bets' AND later.agent = %(agent)s
                AND later.state = 'certified' AND later.pulled_at > r.pulled_at
                AND later.slice_start < r.slice_end AND later.slice_end > r.slice_start
        ), '{}')
)

INSERT INTO judge_rejected (bet_id)
SELECT DISTINCT j.natural_key
FROM doubtful AS d
INNER JOIN ops.rejects AS j ON j.reading_id = d.reading_id
WHERE j.natural_key IS NOT NULL
