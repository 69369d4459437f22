-- The agents of a page and how many there are, of the feeds somebody may see.
-- Parameters: dags, provider, feed, agent, contains (part of an agent's name), merchant, page_size, page_start.
SELECT
    a.provider,
    a.agent,
    count(*) OVER () AS total
FROM ops.agents AS a
WHERE
    a.provider || '__' || a.feed || '__' || a.agent = any(%(dags)s::text[])
    AND (%(provider)s::text IS NULL OR a.provider = %(provider)s)
    AND (%(feed)s::text IS NULL OR a.feed = %(feed)s)
    AND (%(merchant)s::text IS NULL OR a.merchant_id = %(merchant)s)
    AND (%(agent)s::text IS NULL OR a.agent = %(agent)s)
    AND (%(contains)s::text IS NULL OR strpos(a.agent, %(contains)s) > 0)
GROUP BY a.provider, a.agent
ORDER BY a.provider, a.agent
LIMIT %(page_size)s OFFSET %(page_start)s
