-- Sums over the distinct bets each key names; a rebate that names none has sums of zero. Parameters: agent.
INSERT INTO judge_sums (
    rebate_id, linked_bets, linked_turnover, entitled_turnover, missing_ids, voided_ids, has_unsettled, has_rejected,
    oldest_state
)
SELECT
    r.id,
    count(l.bet_id),
    coalesce(sum(b.valid_bet_turnover) FILTER (WHERE b.status = 1 AND b.currency = r.currency), 0),
    coalesce(sum(b.valid_bet_turnover) FILTER (
        WHERE b.status = 1 AND b.currency = r.currency AND b.user_id = r.user_id AND c.bet_id IS NULL
    ), 0),
    coalesce(array_agg(l.bet_id ORDER BY l.bet_id) FILTER (
        WHERE l.bet_id IS NOT NULL AND b.id IS NULL AND j.bet_id IS NULL
    ), '{}'),
    coalesce(array_agg(l.bet_id ORDER BY l.bet_id) FILTER (WHERE b.status NOT IN (0, 1)), '{}'),
    count(*) FILTER (WHERE b.status = 0) > 0,
    count(j.bet_id) > 0,
    min(b.update_time)
FROM judge_keys AS k
INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = k.rebate_id
LEFT JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = k.rebate_id
LEFT JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = l.bet_id
LEFT JOIN judge_claimed AS c ON c.rebate_id = l.rebate_id AND c.bet_id = l.bet_id
-- A state that was read after the row was set aside is beyond doubt.
LEFT JOIN judge_rejected AS j ON j.bet_id = l.bet_id AND NOT coalesce(b.last_changed_at > j.pulled_at, FALSE)
GROUP BY r.id
