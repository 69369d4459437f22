-- The life of breaks: the difference between what the keys' verdicts say now and what recon.breaks holds.
-- Parameters: agent, run_id, judged_at.
WITH verdicts AS (
    SELECT
        v.*,
        k.decided
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
        -- Without trailing zeros: the same amount written otherwise is no other amount.
        md5(concat_ws('|', f.reason, trim_scale(f.amount), f.bet_ids::text)) AS fingerprint
    FROM found AS f
),

-- What becomes of each break that stands, and why when its state or its fingerprint changes.
standing AS (
    SELECT
        d.*,
        old.state AS old_state,
        old.fingerprint AS old_fingerprint,
        CASE
            WHEN old.state IS NULL THEN 'open'
            WHEN old.state = 'healed' THEN 'reopened'
            WHEN old.state = 'accepted' AND (
                old.fingerprint <> d.fingerprint OR old.accepted_until <= %(judged_at)s
            ) THEN 'reopened'
            ELSE old.state
        END AS state,
        CASE
            WHEN old.state IS NULL THEN 'found'
            WHEN old.state = 'healed' THEN 'found again'
            WHEN old.fingerprint <> d.fingerprint THEN 'amount or evidence changed'
            WHEN old.state = 'accepted' AND old.accepted_until <= %(judged_at)s THEN 'acceptance expired'
        END AS cause
    FROM described AS d
    LEFT JOIN recon.breaks AS old
        ON old.agent = d.agent AND old.rebate_id = d.rebate_id AND old.reason = d.reason
),

written AS (
    INSERT INTO recon.breaks AS b (
        agent, rebate_id, reason, day, user_id, currency, state, amount, overpaid, bet_ids, sentence, fingerprint,
        opened_at, changed_at, run_id
    )
    SELECT
        agent, rebate_id, reason, day, user_id, currency, state, amount, overpaid, bet_ids, sentence, fingerprint,
        %(judged_at)s, %(judged_at)s, %(run_id)s
    FROM standing
    ORDER BY rebate_id, reason
    ON CONFLICT (agent, rebate_id, reason) DO UPDATE SET
        day = excluded.day, user_id = excluded.user_id, currency = excluded.currency, state = excluded.state,
        amount = excluded.amount, overpaid = excluded.overpaid, bet_ids = excluded.bet_ids,
        sentence = excluded.sentence, fingerprint = excluded.fingerprint, changed_at = excluded.changed_at,
        run_id = excluded.run_id
    WHERE (b.day, b.user_id, b.currency, b.state, b.overpaid, b.sentence, b.fingerprint)
        IS DISTINCT FROM (
            excluded.day, excluded.user_id, excluded.currency, excluded.state, excluded.overpaid, excluded.sentence,
            excluded.fingerprint
        )
    RETURNING b.break_id, b.rebate_id, b.reason, b.state, b.amount, b.fingerprint
),

healed AS (
    UPDATE recon.breaks AS b
    SET state = 'healed', changed_at = %(judged_at)s, run_id = %(run_id)s
    FROM verdicts AS v
    WHERE b.agent = v.agent AND b.rebate_id = v.rebate_id AND b.state <> 'healed' AND NOT b.reason = ANY(v.reasons)
        -- Undecided is not healed; an amount is decided by the rebate alone.
        AND (v.decided OR b.reason = 'amount')
    RETURNING
        b.break_id,
        b.state,
        b.amount,
        b.fingerprint,
        CASE
            WHEN v.verdict = 'failed' THEN 'the rebate is reported as failed now'
            WHEN b.reason = 'turnover' THEN format(
                'turnover is %%s and the settled bets add up to %%s now', v.turnover, v.linked_turnover)
            WHEN b.reason = 'amount' THEN format(
                '%%s was paid and %%s is expected now', v.rebate_amount, v.expected_amount)
            WHEN b.reason = 'missing_bet' THEN 'the provider reports every bet named now'
            ELSE 'no bet named is cancelled or voided now'
        END AS cause
)

INSERT INTO recon.break_events (break_id, run_id, state, amount, fingerprint, cause, happened_at)
SELECT
    c.break_id,
    %(run_id)s,
    c.state,
    c.amount,
    c.fingerprint,
    c.cause,
    %(judged_at)s
FROM (
    SELECT
        w.break_id,
        w.state,
        w.amount,
        w.fingerprint,
        s.cause
    FROM written AS w
    INNER JOIN standing AS s ON s.rebate_id = w.rebate_id AND s.reason = w.reason
    WHERE (s.old_state, s.old_fingerprint) IS DISTINCT FROM (w.state, w.fingerprint)
    UNION ALL
    SELECT
        h.break_id,
        h.state,
        h.amount,
        h.fingerprint,
        h.cause
    FROM healed AS h
) AS c
ORDER BY c.break_id
