-- The other breaks of a rebate. Parameters: agent, rebate_id, break_id.
SELECT
    b.break_id,
    b.reason,
    b.state,
    b.amount,
    b.sentence
FROM recon.breaks AS b
WHERE b.agent = %(agent)s AND b.rebate_id = %(rebate_id)s AND b.break_id <> %(break_id)s
ORDER BY b.reason
