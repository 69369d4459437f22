-- The breaks of a day that stand, with the figures of their rebates: the most money first within a currency.
-- Parameters: agent, day.
SELECT
    v.rebate_id,
    v.activity_id,
    v.user_id,
    v.currency,
    v.turnover,
    v.linked_turnover,
    v.difference,
    v.rate,
    v.rebate_amount,
    v.entitled,
    v.overpaid,
    v.severity,
    v.linked_bets,
    b.reason,
    b.state,
    b.amount,
    b.bet_ids,
    b.sentence,
    b.opened_at,
    b.accepted_by,
    b.accepted_reason
FROM recon.breaks AS b
INNER JOIN recon.rebates AS v ON v.agent = b.agent AND v.rebate_id = b.rebate_id
WHERE b.agent = %(agent)s AND b.day = %(day)s AND b.state <> 'healed'
ORDER BY v.currency ASC, abs(v.overpaid) DESC, v.rebate_id, b.reason ASC
