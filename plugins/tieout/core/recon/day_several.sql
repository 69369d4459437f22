-- The bets concerned that several rebates name, each of which may be a claim. Parameters: agent.
INSERT INTO day_several (bet_id)
SELECT s.bet_id
FROM day_bets AS b
INNER JOIN recon.shared_bets AS s ON s.agent = %(agent)s AND s.bet_id = b.bet_id
UNION
SELECT s.bet_id
FROM day_away AS a
INNER JOIN recon.shared_bets AS s ON s.agent = %(agent)s AND s.bet_id = a.bet_id
