-- The life of breaks: the difference between what the keys' verdicts say now and what recon.breaks holds.
-- Parameters: agent, run_id, judged_at.
WITH verdicts AS (
    SELECT v.*
    FROM judge_keys AS k
    INNER JOIN recon.rebates AS v ON v.agent = %(agent)s AND v.rebate_id = k.rebate_id
),

found AS (
    SELECT
        v.*,
        reason.reason,
        CASE reason.reason
            WHEN 'amount' THEN v.rebate_amount - v.expected_amount
            ELSE v.difference
        END AS amount,
        CASE reason.reason
            WHEN 'missing_bet' THEN v.missing_ids
            WHEN 'voided_bet' THEN v.voided_ids
            ELSE '{}'
        END AS bet_ids
    FROM verdicts AS v
    CROSS JOIN LATERAL unnest(v.reasons) AS reason (reason)
),

described AS (
    SELECT
        f.*,
        CASE f.reason
            WHEN 'turnover' THEN format(
                'Rebate %%s of user %%s states a turnover of %%s %%s; its settled bets add up to %%s.',
                f.rebate_id, f.user_id, f.turnover, f.currency, f.linked_turnover)
            WHEN 'amount' THEN format(
                'Rebate %%s of user %%s paid %%s %%s; %%s%%%% of %%s is %%s.',
                f.rebate_id, f.user_id, f.rebate_amount, f.currency, f.rate, f.turnover, f.expected_amount)
            WHEN 'missing_bet' THEN format(
                'Rebate %%s of user %%s names %%s bet(s) that the provider does not report.',
                f.rebate_id, f.user_id, cardinality(f.missing_ids))
            ELSE format(
                'Rebate %%s of user %%s names %%s bet(s) that were cancelled or voided.',
                f.rebate_id, f.user_id, cardinality(f.voided_ids))
        END AS sentence,
        md5(concat_ws('|', f.reason, f.amount, array_to_string(f.bet_ids, ','))) AS fingerprint
    FROM found AS f
),

written AS (
    INSERT INTO recon.breaks AS b (
        agent, rebate_id, reason, day, user_id, currency, state, amount, overpaid, bet_ids, sentence, fingerprint,
        opened_at, changed_at, run_id
    )
    SELECT
        agent, rebate_id, reason, day, user_id, currency, 'open', amount, overpaid, bet_ids, sentence, fingerprint,
        %(judged_at)s, %(judged_at)s, %(run_id)s
    FROM described
    ORDER BY rebate_id, reason
    ON CONFLICT (agent, rebate_id, reason) DO UPDATE SET
        state = CASE
            WHEN b.state = 'healed' THEN 'reopened'
            WHEN b.state = 'accepted' AND b.fingerprint <> excluded.fingerprint THEN 'reopened'
            ELSE b.state
        END,
        amount = excluded.amount, overpaid = excluded.overpaid, bet_ids = excluded.bet_ids,
        sentence = excluded.sentence, fingerprint = excluded.fingerprint, changed_at = excluded.changed_at,
        run_id = excluded.run_id
    WHERE b.fingerprint <> excluded.fingerprint OR b.state = 'healed' OR b.overpaid <> excluded.overpaid
    RETURNING b.break_id, b.state, b.amount, b.fingerprint
),

healed AS (
    UPDATE recon.breaks AS b
    SET state = 'healed', changed_at = %(judged_at)s, run_id = %(run_id)s
    FROM verdicts AS v
    WHERE b.agent = v.agent AND b.rebate_id = v.rebate_id AND b.state <> 'healed' AND NOT b.reason = ANY(v.reasons)
        -- Undecided is not healed.
        AND v.verdict NOT IN ('pending', 'unprovable')
    RETURNING b.break_id, b.state, b.amount, b.fingerprint
)

INSERT INTO recon.break_events (break_id, run_id, state, amount, fingerprint, happened_at)
SELECT c.break_id, %(run_id)s, c.state, c.amount, c.fingerprint, %(judged_at)s
FROM (SELECT * FROM written UNION ALL SELECT * FROM healed) AS c
