-- Breaks, filtered; the caller adds the order and the page. Parameters: agents (those somebody may see), agent, first,
-- last, currency, reason, severity (of its rebate), state ('standing': every one that has not healed), user_id,
-- rebate_id, least (amount), older and younger (ages in days).
SELECT
    b.break_id,
    b.agent,
    b.day,
    b.rebate_id,
    b.reason,
    b.user_id,
    b.currency,
    b.state,
    b.amount,
    b.overpaid,
    b.sentence,
    b.opened_at,
    b.changed_at,
    b.accepted_by,
    b.accepted_reason,
    b.accepted_until,
    b.bet_ids,
    CASE
        WHEN b.reason IN ('amount', 'wallet_txn_missing', 'wallet_txn_reused', 'paid_twice') THEN 'money'
        WHEN b.reason = 'unsettled_bet' THEN 'stake'
        ELSE 'turnover'
    END AS unit,
    abs(b.amount) AS size,
    abs(b.overpaid) AS overpaid_size,
    -- Looked up for the rows that are shown; joined, it would be for all of them.
    (SELECT v.severity FROM recon.rebates AS v WHERE v.agent = b.agent AND v.rebate_id = b.rebate_id) AS severity,
    (
        SELECT coalesce(array_position(ARRAY['low', 'medium', 'high'], v.severity::text), 0)
        FROM recon.rebates AS v
        WHERE v.agent = b.agent AND v.rebate_id = b.rebate_id
    ) AS severity_rank,
    now() - b.opened_at AS age
FROM recon.breaks AS b
WHERE
    b.agent = any(%(agents)s::text[])
    AND (%(agent)s::text IS NULL OR b.agent = %(agent)s)
    AND (%(first)s::date IS NULL OR b.day >= %(first)s)
    AND (%(last)s::date IS NULL OR b.day <= %(last)s)
    AND (%(currency)s::text IS NULL OR b.currency = %(currency)s)
    AND (%(reason)s::text IS NULL OR b.reason = %(reason)s)
    AND (
        %(severity)s::text IS NULL
        OR EXISTS (
            SELECT FROM recon.rebates AS v
            WHERE v.agent = b.agent AND v.rebate_id = b.rebate_id AND v.severity = %(severity)s
        )
    )
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
