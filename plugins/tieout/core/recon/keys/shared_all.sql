-- All bets that several rebates of the agent name. It reads no temporary table: only then does PostgreSQL work on it
-- with several processes. Parameters: agent.
CREATE TEMP TABLE judge_shared ON COMMIT DROP AS
SELECT bet_id
FROM staging.lucko_rebate_bets
WHERE agent = %(agent)s
GROUP BY bet_id
HAVING count(*) > 1
