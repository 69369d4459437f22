-- The bets a rebate names, those the break is about first.
-- Parameters: agent, rebate_id, bet_ids, page_size, page_start.
SELECT
    l.bet_id,
    l.times,
    l.bet_id = any(%(bet_ids)s::text[]) AS is_concerned,
    b.id IS NOT NULL AS is_known,
    b.user_id,
    b.game_id,
    b.currency,
    b.status,
    b.bet_time,
    b.settle_time,
    b.bet_amount,
    b.valid_bet_turnover,
    b.update_time,
    b.reading_id,
    count(*) OVER () AS total
FROM staging.lucko_rebate_bets AS l
LEFT JOIN staging.lucko_bets AS b ON b.agent = l.agent AND b.id = l.bet_id
WHERE l.agent = %(agent)s AND l.rebate_id = %(rebate_id)s
ORDER BY is_concerned DESC, l.bet_id ASC
LIMIT %(page_size)s OFFSET %(page_start)s
