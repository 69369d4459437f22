-- Sums over the distinct bets each key names; a rebate that names none has sums of zero. odd_ids are those worth
-- a second look: all that is not simply a settled bet of the user, in the currency, in one known state. Says the same
-- as sums_all.sql.
CREATE TEMP TABLE judge_sums ON COMMIT DROP AS
SELECT
    k.rebate_id,
    count(l.bet_id) AS linked_bets,
    coalesce(sum(b.valid_bet_turnover) FILTER (WHERE b.status = 1 AND b.currency = k.currency), 0) AS linked_turnover,
    coalesce(sum(b.valid_bet_turnover) FILTER (
        WHERE b.status = 1 AND b.currency = k.currency AND b.user_id <> k.user_id
    ), 0) AS strangers_turnover,
    count(*) FILTER (
        WHERE
        b.status = 1
        AND (coalesce(b.settle_time, b.bet_time) < k.day_start OR coalesce(b.settle_time, b.bet_time) >= k.day_end)
    ) AS bets_of_other_days,
    min(b.update_time) AS oldest_state,
    array_agg(l.bet_id) FILTER (
        WHERE
        (b.id IS NULL AND l.bet_id IS NOT NULL) OR b.status <> 1 OR b.currency <> k.currency OR b.user_id <> k.user_id
        OR l.times > 1
        OR (
            b.last_changed_at > b.first_seen_at
            AND greatest(b.last_changed_at, b.update_time, b.settle_time) > k.create_time
        )
    ) AS odd_ids
FROM judge_keys AS k
LEFT JOIN staging.lucko_rebate_bets AS l ON l.agent = k.agent AND l.rebate_id = k.rebate_id
LEFT JOIN staging.lucko_bets AS b ON b.agent = l.agent AND b.id = l.bet_id
GROUP BY k.rebate_id
