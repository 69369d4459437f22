-- What the differences of a rebate are made of. Parameters: agent, rebate_id.
SELECT
    c.of,
    c.kind,
    c.bet_id,
    c.amount,
    c.evidence,
    c.is_fact
FROM recon.break_components AS c
WHERE c.agent = %(agent)s AND c.rebate_id = %(rebate_id)s
ORDER BY c.of ASC, c.is_fact DESC, c.kind ASC, c.bet_id ASC
