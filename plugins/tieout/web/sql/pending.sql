-- Rebates without a verdict for now (pending) or for good (unprovable), filtered; the caller adds the order and the
-- page. Parameters: agents (those somebody may see), agent, first, last, currency, verdict, pending_reason, user_id,
-- rebate_id.
SELECT
    v.day,
    v.agent,
    v.rebate_id,
    v.user_id,
    v.currency,
    v.verdict,
    v.pending_reason,
    v.rebate_amount,
    v.turnover,
    v.judged_at,
    (
        SELECT
            string_agg(
                to_char(lower(w.span), 'YYYY-MM-DD HH24:MI') || ' – ' || to_char(upper(w.span), 'YYYY-MM-DD HH24:MI'),
                ', '
                ORDER BY w.span
            )
        FROM unnest(v.waits_for) AS w (span)
    ) AS waits_for,
    (
        SELECT
            string_agg(
                to_char(lower(w.span), 'YYYY-MM-DD HH24:MI') || ' – ' || to_char(upper(w.span), 'YYYY-MM-DD HH24:MI'),
                ', '
                ORDER BY w.span
            )
        FROM unnest(v.lost_slices) AS w (span)
    ) AS lost_slices,
    lower(v.waits_for)::date AS waits_from,
    lower(v.lost_slices)::date AS lost_from
FROM recon.rebates AS v
WHERE
    v.verdict IN ('pending', 'unprovable')
    AND v.agent = any(%(agents)s::text[])
    AND (%(agent)s::text IS NULL OR v.agent = %(agent)s)
    AND v.day BETWEEN %(first)s AND %(last)s
    AND (%(currency)s::text IS NULL OR v.currency = %(currency)s)
    AND (%(verdict)s::text IS NULL OR v.verdict = %(verdict)s)
    AND (%(pending_reason)s::text IS NULL OR v.pending_reason = %(pending_reason)s)
    AND (%(user_id)s::text IS NULL OR v.user_id = %(user_id)s)
    AND (%(rebate_id)s::text IS NULL OR v.rebate_id = %(rebate_id)s)
