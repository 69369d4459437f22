-- The bets worth a second look (those sums.sql lists, claimed before, or set aside), one row for each key and bet:
-- what is special about it, and how it stood when the rebate was made. then_counted and now_counted are what it adds
-- to the turnover of a rebate in its currency; last_settled is its newest turnover as a settled bet. Parameters: agent.
WITH odd AS (
    SELECT
        n.rebate_id,
        o.bet_id
    FROM judge_sums AS n
    CROSS JOIN LATERAL unnest(n.odd_ids) AS o (bet_id)
    -- Most have none, which the planner knows of the column and not of what is made of it.
    WHERE n.odd_ids IS NOT NULL
    UNION
    SELECT
        rebate_id,
        bet_id
    FROM judge_claimed
    UNION
    SELECT
        l.rebate_id,
        l.bet_id
    FROM judge_rejected AS j
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = j.bet_id
    INNER JOIN judge_keys AS k ON k.rebate_id = l.rebate_id
)

INSERT INTO judge_odd (
    agent, rebate_id, bet_id, is_repeated, is_known, is_rejected, is_claimed, is_own_user, is_own_currency, status,
    turnover, bet_amount, bet_time, update_time, then_known, then_counted, now_counted, last_settled
)
SELECT
    k.agent,
    o.rebate_id,
    o.bet_id,
    coalesce(o.bet_id = any(n.repeated_ids), FALSE),
    b.id IS NOT NULL,
    j.bet_id IS NOT NULL,
    c.bet_id IS NOT NULL,
    coalesce(b.user_id = k.user_id, FALSE),
    coalesce(b.currency = k.currency, FALSE),
    b.status,
    b.valid_bet_turnover,
    b.bet_amount,
    b.bet_time,
    b.update_time,
    coalesce(past.then_known, FALSE),
    coalesce(past.then_counted, 0),
    CASE WHEN b.status = 1 AND b.currency = k.currency THEN b.valid_bet_turnover ELSE 0 END,
    past.last_settled
FROM odd AS o
INNER JOIN judge_keys AS k ON k.rebate_id = o.rebate_id
INNER JOIN judge_sums AS n ON n.rebate_id = o.rebate_id
LEFT JOIN staging.lucko_bets AS b ON b.agent = k.agent AND b.id = o.bet_id
LEFT JOIN judge_claimed AS c ON c.rebate_id = o.rebate_id AND c.bet_id = o.bet_id
-- A state that was read after the row was set aside is beyond doubt.
LEFT JOIN judge_rejected AS j ON j.bet_id = o.bet_id AND NOT coalesce(b.last_changed_at > j.pulled_at, FALSE)
LEFT JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE v.effective_at <= k.create_time) > 0 AS then_known,
        (array_agg(
            CASE WHEN v.status = 1 AND v.currency = k.currency THEN v.valid_bet_turnover ELSE 0 END
            ORDER BY v.pulled_at DESC
        ) FILTER (WHERE v.effective_at <= k.create_time))[1] AS then_counted,
        (array_agg(v.valid_bet_turnover ORDER BY v.pulled_at DESC) FILTER (WHERE v.status = 1))[1] AS last_settled
    FROM (
        SELECT
            s.status,
            s.currency,
            s.valid_bet_turnover,
            s.pulled_at,
            recon.effective_at(greatest(s.update_time, s.settle_time), s.pulled_at) OVER (
                ORDER BY s.pulled_at ROWS UNBOUNDED PRECEDING
            ) AS effective_at
        FROM staging.lucko_bet_versions AS s
        WHERE s.agent = k.agent AND s.id = o.bet_id
    ) AS v
) AS past ON b.last_changed_at > b.first_seen_at
