-- What sums.sql says, of each rebate of the agent with one of the given dates; of one that names a bet worth a second
-- look, which is not whole, sums.sql has to say it. It reads no temporary table, and none of its sums is a list: only
-- then does PostgreSQL add up with several processes and in memory. Parameters: agent, labels (dates as rebates name
-- them), starts and ends (of their settlement days).
CREATE TEMP TABLE judge_sums ON COMMIT DROP AS
SELECT
    k.id AS rebate_id,
    count(l.bet_id) AS linked_bets,
    -- Where it is whole, all bets are settled and in the currency.
    coalesce(sum(b.valid_bet_turnover), 0) AS linked_turnover,
    count(*) FILTER (
        WHERE coalesce(b.settle_time, b.bet_time) < d.starts OR coalesce(b.settle_time, b.bet_time) >= d.ends
    ) AS bets_of_other_days,
    min(b.update_time) AS oldest_state,
    NULL::text[] AS repeated_ids,
    NULL::text[] AS odd_ids,
    count(*) FILTER (
        WHERE
        (b.id IS NULL AND l.bet_id IS NOT NULL) OR b.status <> 1 OR b.currency <> k.currency OR b.user_id <> k.user_id
        OR l.times > 1
        OR (
            b.last_changed_at > b.first_seen_at
            AND greatest(b.last_changed_at, b.update_time, b.settle_time) > k.create_time
        )
    ) = 0 AS is_whole
FROM staging.lucko_rebates AS k
INNER JOIN
    unnest(%(labels)s::timestamptz[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS d (label, starts, ends)
    ON d.label = k.date
LEFT JOIN staging.lucko_rebate_bets AS l ON l.agent = k.agent AND l.rebate_id = k.id
LEFT JOIN staging.lucko_bets AS b ON b.agent = l.agent AND b.id = l.bet_id
WHERE k.agent = %(agent)s
GROUP BY k.id
