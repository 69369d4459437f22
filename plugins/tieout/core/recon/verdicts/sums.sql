-- Sums over the distinct bets each key names; a rebate that names none has sums of zero. odd_ids are those worth
-- a second look: all that is not simply a settled bet of the user, in the currency, in one known state; repeated_ids
-- are named more than once. All bets of a rebate are asked for at once: neighbours in the index are found by one
-- descent. Once all keys are summed up by sums_all.sql, only those are that it left unfinished. Parameters: are_summed.
WITH unfinished AS (
    DELETE FROM judge_sums WHERE NOT is_whole
    RETURNING rebate_id
)

INSERT INTO judge_sums (
    rebate_id, linked_bets, linked_turnover, bets_of_other_days, oldest_state, repeated_ids, odd_ids, is_whole
)
SELECT
    k.rebate_id,
    n.linked_bets,
    coalesce(s.linked_turnover, 0) AS linked_turnover,
    s.bets_of_other_days,
    s.oldest_state,
    n.repeated_ids,
    nullif(
        coalesce(s.odd_ids, '{}') || coalesce(n.repeated_ids, '{}') || CASE
            WHEN s.known_bets < n.linked_bets
                THEN array(
                    SELECT unnest(n.bet_ids)
                    EXCEPT
                    SELECT unnest(s.known_ids)
                )
            ELSE '{}'
        END, '{}'
    ) AS odd_ids,
    TRUE AS is_whole
FROM judge_keys AS k
CROSS JOIN
    LATERAL (
        SELECT
            count(*) AS linked_bets,
            array_agg(l.bet_id) AS bet_ids,
            array_agg(l.bet_id) FILTER (WHERE l.times > 1) AS repeated_ids
        FROM staging.lucko_rebate_bets AS l
        WHERE l.agent = k.agent AND l.rebate_id = k.rebate_id
    ) AS n
CROSS JOIN
    LATERAL (
        SELECT
            count(*) AS known_bets,
            array_agg(b.id) AS known_ids,
            sum(b.valid_bet_turnover) FILTER (WHERE b.status = 1 AND b.currency = k.currency) AS linked_turnover,
            count(*) FILTER (
                WHERE
                b.status = 1
                AND (
                    coalesce(b.settle_time, b.bet_time) < k.day_start
                    OR coalesce(b.settle_time, b.bet_time) >= k.day_end
                )
            ) AS bets_of_other_days,
            min(b.update_time) AS oldest_state,
            array_agg(b.id) FILTER (
                WHERE
                b.status <> 1 OR b.currency <> k.currency OR b.user_id <> k.user_id
                OR (
                    b.last_changed_at > b.first_seen_at
                    AND greatest(b.last_changed_at, b.update_time, b.settle_time) > k.create_time
                )
            ) AS odd_ids
        FROM staging.lucko_bets AS b
        WHERE b.agent = k.agent AND b.id = any(n.bet_ids)
    ) AS s
WHERE NOT %(are_summed)s OR k.rebate_id IN (SELECT u.rebate_id FROM unfinished AS u)
