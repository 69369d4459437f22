-- The distinct bets the keys name. Parameters: agent.
INSERT INTO judge_links (rebate_id, bet_id)
SELECT
    l.rebate_id,
    l.bet_id
FROM judge_keys AS k
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = k.rebate_id
