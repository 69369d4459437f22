-- Rows that contradict themselves, filtered; the caller adds the order and the page. Parameters: dags (those somebody
-- may read), agent, provider, first, last, identity, state ('standing': not healed), currency, user_id, game_type.
SELECT
    b.day,
    b.agent,
    b.provider,
    b.feed,
    b.identity,
    b.state,
    b.game_type,
    b.user_id,
    b.currency,
    b.stated,
    b.computed,
    b.difference,
    abs(b.difference) AS size,
    b.opened_at,
    b.sentence,
    b.row_key
FROM recon.integrity_breaks AS b
WHERE
    b.provider || '__' || b.feed || '__' || b.agent = any(%(dags)s::text[])
    AND (%(agent)s::text IS NULL OR b.agent = %(agent)s)
    AND (%(provider)s::text IS NULL OR b.provider = %(provider)s)
    AND (%(first)s::date IS NULL OR b.day >= %(first)s)
    AND (%(last)s::date IS NULL OR b.day <= %(last)s)
    AND (%(identity)s::text IS NULL OR b.identity = %(identity)s)
    AND (
        %(state)s::text IS NULL OR b.state = %(state)s OR (%(state)s = 'standing' AND b.state <> 'healed')
    )
    AND (%(currency)s::text IS NULL OR b.currency = %(currency)s)
    AND (%(user_id)s::text IS NULL OR b.user_id = %(user_id)s)
    AND (%(game_type)s::text IS NULL OR b.game_type = %(game_type)s)
