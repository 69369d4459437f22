-- How many breaks there are by reason and state, filtered as in breaks.sql. Parameters: as there.
SELECT
    b.reason,
    b.state,
    count(*) AS found
FROM recon.breaks AS b
WHERE
    b.agent = any(%(agents)s::text[])
    AND (%(agent)s::text IS NULL OR b.agent = %(agent)s)
    AND (%(first)s::date IS NULL OR b.day >= %(first)s)
    AND (%(last)s::date IS NULL OR b.day <= %(last)s)
    AND (%(currency)s::text IS NULL OR b.currency = %(currency)s)
    AND (%(reason)s::text IS NULL OR b.reason = %(reason)s)
    AND CASE %(state)s::text
        WHEN 'all' THEN TRUE
        WHEN 'standing' THEN b.state <> 'healed'
        WHEN 'unanswered' THEN b.state IN ('open', 'reopened')
        ELSE b.state = %(state)s
    END
    AND (%(user_id)s::text IS NULL OR b.user_id = %(user_id)s)
    AND (%(rebate_id)s::text IS NULL OR b.rebate_id = %(rebate_id)s)
    AND (%(least)s::numeric IS NULL OR abs(b.amount) >= %(least)s)
    AND (%(older)s::int IS NULL OR b.opened_at <= now() - make_interval(days => %(older)s))
    AND (%(younger)s::int IS NULL OR b.opened_at > now() - make_interval(days => %(younger)s))
GROUP BY b.reason, b.state
ORDER BY count(*) DESC, b.reason, b.state ASC
