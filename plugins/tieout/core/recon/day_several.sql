-- The bets concerned that have several links, each of which may be a claim. Parameters: agent.
INSERT INTO day_several (bet_id)
SELECT l.bet_id
FROM (
    SELECT bet_id FROM day_bets
    UNION ALL
    -- One that is also of the given days comes twice, and is looked at for that.
    SELECT DISTINCT bet_id FROM day_away
) AS b
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = b.bet_id
GROUP BY l.bet_id
HAVING count(*) > 1
