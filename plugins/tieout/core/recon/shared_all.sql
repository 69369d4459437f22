-- Bets that several rebates of the agent name. Finds what shared.sql finds, and faster where the keys are a good part
-- of all rebates: one look at every link instead of two at each of the keys'. Parameters: agent.
INSERT INTO judge_shared (agent, bet_id)
SELECT
    %(agent)s,
    bet_id
FROM staging.lucko_rebate_bets
WHERE agent = %(agent)s
GROUP BY bet_id
HAVING count(*) > 1
