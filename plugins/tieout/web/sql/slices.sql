-- The slices of a feed that start within a time, and until when they can be had. Parameters: provider, feed, agent,
-- since, until.
SELECT
    s.slice_start,
    s.slice_end,
    CASE
        WHEN s.status = 'lost' AND s.deadline < a.first_known_at THEN 'never_ours'
        WHEN s.status = 'certified' AND NOT EXISTS (
            SELECT FROM ops.readings AS r
            WHERE
                r.provider = s.provider AND r.feed = s.feed AND r.agent = s.agent
                AND r.slice_start < s.slice_end AND r.slice_end > s.slice_start AND r.rows > 0
        ) THEN 'no_activity'
        ELSE s.status
    END AS status,
    s.deadline,
    s.deadline - now() AS remaining
FROM ops.slice_status AS s
INNER JOIN ops.agents AS a ON a.provider = s.provider AND a.feed = s.feed AND a.agent = s.agent
WHERE
    s.provider = %(provider)s AND s.feed = %(feed)s AND s.agent = %(agent)s
    AND s.slice_start >= %(since)s AND s.slice_start < %(until)s
ORDER BY s.slice_start
