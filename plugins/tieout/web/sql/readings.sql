-- The readings that meet a time of a feed, newest first. Parameters: provider, feed, agent, since, until.
SELECT
    r.reading_id,
    r.slice_start,
    r.slice_end,
    r.kind,
    r.state,
    r.pages,
    r.rows,
    r.reported_total_first,
    r.reported_total_last,
    r.distinct_keys,
    r.inserted,
    r.updated,
    r.rejected,
    r.reason,
    r.pulled_at,
    r.loaded_at,
    r.landing_uri,
    r.sha256
FROM ops.readings AS r
WHERE
    r.provider = %(provider)s AND r.feed = %(feed)s AND r.agent = %(agent)s
    AND r.slice_start < %(until)s AND r.slice_end > %(since)s
ORDER BY r.slice_start ASC, r.pulled_at DESC
