-- Every state of some bets, oldest first. Parameters: agent, bet_ids.
SELECT
    v.id AS bet_id,
    v.status,
    v.bet_amount,
    v.valid_bet_turnover,
    v.settle_time,
    v.update_time,
    v.pulled_at,
    v.reading_id,
    v.load_id,
    count(*) OVER () AS total
FROM staging.lucko_bet_versions AS v
WHERE v.agent = %(agent)s AND v.id = any(%(bet_ids)s::text[])
ORDER BY v.id, v.pulled_at
LIMIT 2000
