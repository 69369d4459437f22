-- Sums over the distinct bets each key names; a rebate that names none has sums of zero. odd_bets counts those worth
-- a second look: all that is not simply a settled bet of the user, in the currency, in one known state.
INSERT INTO judge_sums (
    rebate_id, linked_bets, linked_turnover, own_turnover, bets_of_other_days, oldest_state, odd_bets
)
SELECT
    k.rebate_id,
    count(l.bet_id),
    coalesce(sum(b.valid_bet_turnover) FILTER (WHERE b.status = 1 AND b.currency = k.currency), 0),
    coalesce(sum(b.valid_bet_turnover) FILTER (
        WHERE b.status = 1 AND b.currency = k.currency AND b.user_id = k.user_id
    ), 0),
    count(*) FILTER (WHERE b.status = 1 AND (b.settle_time < k.day_start OR b.settle_time >= k.day_end)),
    min(b.update_time),
    count(l.bet_id) FILTER (
        WHERE b.id IS NULL OR b.status <> 1 OR b.currency <> k.currency OR b.user_id <> k.user_id OR l.times > 1
        OR (
            b.last_changed_at > b.first_seen_at
            AND greatest(b.last_changed_at, b.update_time, b.settle_time) > k.create_time
        )
    )
FROM judge_keys AS k
LEFT JOIN staging.lucko_rebate_bets AS l ON l.agent = k.agent AND l.rebate_id = k.rebate_id
LEFT JOIN staging.lucko_bets AS b ON b.agent = l.agent AND b.id = l.bet_id
GROUP BY k.rebate_id
