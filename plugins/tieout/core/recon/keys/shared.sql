-- Bets that several rebates name, as far as the loads that no run has consumed made them so. Once is for ever: each is
-- looked at one by one, which costs time and is never wrong. Parameters: agent, run_id, loads.
INSERT INTO recon.shared_bets (agent, bet_id, run_id)
SELECT DISTINCT
    l.agent,
    l.bet_id,
    %(run_id)s::bigint
FROM staging.lucko_rebates AS r
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = r.agent AND l.rebate_id = r.id
INNER JOIN staging.lucko_rebate_bets AS o ON o.agent = l.agent AND o.bet_id = l.bet_id AND o.rebate_id <> l.rebate_id
WHERE r.agent = %(agent)s AND r.load_id = any(%(loads)s::bigint[])
ON CONFLICT DO NOTHING
