-- Bets the keys name that another rebate names, too.
INSERT INTO judge_shared (agent, bet_id)
SELECT DISTINCT
    l.agent,
    l.bet_id
FROM judge_keys AS k
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = k.agent AND l.rebate_id = k.rebate_id
INNER JOIN staging.lucko_rebate_bets AS o ON o.agent = l.agent AND o.bet_id = l.bet_id AND o.rebate_id <> l.rebate_id
