-- Links of the keys whose bet an earlier successful rebate of the same activity names.
INSERT INTO judge_claimed (agent, rebate_id, bet_id)
SELECT DISTINCT
    k.agent,
    k.rebate_id,
    s.bet_id
FROM recon.shared_bets AS s
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = s.agent AND l.bet_id = s.bet_id
INNER JOIN judge_keys AS k ON k.agent = l.agent AND k.rebate_id = l.rebate_id
INNER JOIN staging.lucko_rebate_bets AS o ON o.agent = s.agent AND o.bet_id = s.bet_id AND o.rebate_id <> l.rebate_id
INNER JOIN staging.lucko_rebates AS r
    ON
        r.agent = o.agent AND r.id = o.rebate_id AND r.status <> 0 AND r.activity_id = k.activity_id
        AND (r.create_time, r.id) < (k.create_time, k.rebate_id)
