-- Rows of a feed that were not loaded, newest first. Parameters: provider, feed, agent, page_size, page_start.
SELECT
    x.reject_id,
    x.reading_id,
    x.page,
    x.row_number,
    x.natural_key,
    x.reason,
    x.detail,
    left(x.raw, 4000) AS raw,
    length(x.raw) AS raw_length,
    x.rejected_at,
    count(*) OVER () AS total
FROM ops.rejects AS x
WHERE x.provider = %(provider)s AND x.feed = %(feed)s AND x.agent = %(agent)s
ORDER BY x.rejected_at DESC, x.reject_id DESC
LIMIT %(page_size)s OFFSET %(page_start)s
