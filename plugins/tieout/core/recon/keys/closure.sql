-- The rebates whose verdict the new loads, the ledger or the passing of an acceptance may have changed. Too many is
-- harmless, too few is wrong. The loads are named, not joined: the planner then knows that they are few of all rows.
-- Parameters: agent, judged_at, loads.
WITH changed_bets AS (
    SELECT b.id
    FROM staging.lucko_bets AS b
    WHERE b.agent = %(agent)s AND b.load_id = any(%(loads)s::bigint[])
    UNION
    -- An older state that turns up late changes what a bet was, not what it is.
    SELECT v.id
    FROM staging.lucko_bet_versions AS v
    WHERE v.agent = %(agent)s AND v.load_id = any(%(loads)s::bigint[])
    UNION
    SELECT j.bet_id FROM judge_rejected AS j
),

changed_rebates AS (
    SELECT
        r.agent,
        r.id
    FROM staging.lucko_rebates AS r
    WHERE r.agent = %(agent)s AND r.load_id = any(%(loads)s::bigint[])
),

-- Every state a changed rebate ever had: what it shared with others before it shares no longer.
states AS MATERIALIZED (
    SELECT
        c.agent,
        r.date,
        r.user_id,
        nullif(r.wallet_txn_id, '') AS wallet_txn_id,
        r.txn_ids
    FROM changed_rebates AS c
    INNER JOIN staging.lucko_rebates AS r ON r.agent = c.agent AND r.id = c.id
    UNION ALL
    SELECT
        c.agent,
        v.date,
        v.user_id,
        nullif(v.wallet_txn_id, ''),
        v.txn_ids
    FROM changed_rebates AS c
    INNER JOIN staging.lucko_rebate_versions AS v ON v.agent = c.agent AND v.id = c.id
)

INSERT INTO judge_concerned (rebate_id)
SELECT id FROM changed_rebates
UNION
SELECT l.rebate_id
FROM changed_bets AS c
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = c.id
UNION
SELECT l.rebate_id
FROM states AS s
CROSS JOIN LATERAL jsonb_array_elements_text(s.txn_ids) AS named (bet_id)
INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = s.agent AND l.bet_id = named.bet_id
UNION
SELECT r.id
FROM states AS s
INNER JOIN staging.lucko_rebates AS r ON r.agent = s.agent AND r.wallet_txn_id = s.wallet_txn_id
UNION
SELECT r.id
FROM states AS s
INNER JOIN staging.lucko_rebates AS r ON r.agent = s.agent AND r.date = s.date AND r.user_id = s.user_id
UNION
SELECT v.rebate_id
FROM recon.coverage AS old
INNER JOIN judge_coverage AS c ON c.could_hold = old.could_hold
INNER JOIN recon.rebates AS v ON v.agent = old.agent AND v.could_hold = old.could_hold
WHERE
    old.agent = %(agent)s
    AND (c.open_gaps, c.lost_gaps, c.not_ours) IS DISTINCT FROM (old.open_gaps, old.lost_gaps, old.not_ours)
UNION
SELECT rebate_id FROM recon.rebates WHERE agent = %(agent)s AND pending_reason = 'rejected'
UNION
SELECT rebate_id
FROM recon.rebates
WHERE agent = %(agent)s AND recheck_at <= (SELECT upper(certified) FROM judge_ledger)
UNION
-- What a bet could settle in was read since, or can no longer be.
SELECT v.rebate_id
FROM recon.rebates AS v
CROSS JOIN judge_ledger AS l
WHERE v.agent = %(agent)s AND v.recheck_at IS NOT NULL AND v.waits_for && (l.certified + l.out_of_reach)
UNION
SELECT rebate_id FROM recon.breaks WHERE agent = %(agent)s AND state = 'accepted' AND accepted_until <= %(judged_at)s
