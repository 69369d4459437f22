-- The life of breaks: the difference between what stands now (judge_breaks) and what recon.breaks holds. Only a change
-- of state, amount or evidence is an event. Parameters: agent, run_id, judged_at.
WITH written AS (
    INSERT INTO recon.breaks AS b (
        agent, rebate_id, reason, day, user_id, currency, state, amount, overpaid, bet_ids, sentence, fingerprint,
        opened_at, changed_at, run_id
    )
    SELECT
        v.agent, s.rebate_id, s.reason, v.day, v.user_id, v.currency, s.state, s.amount, v.overpaid, s.bet_ids,
        s.sentence, s.fingerprint, %(judged_at)s, %(judged_at)s, %(run_id)s
    FROM judge_breaks AS s
    INNER JOIN recon.rebates AS v ON v.agent = %(agent)s AND v.rebate_id = s.rebate_id
    ORDER BY s.rebate_id, s.reason
    ON CONFLICT (agent, rebate_id, reason) DO UPDATE
        SET
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
    FROM judge_keys AS k
    INNER JOIN recon.rebates AS v ON v.agent = %(agent)s AND v.rebate_id = k.rebate_id
    WHERE
        b.agent = %(agent)s AND b.rebate_id = k.rebate_id AND b.state <> 'healed' AND NOT b.reason = ANY(v.reasons)
        -- Undecided is not healed; an amount is decided by the rebate alone.
        AND (k.decided OR b.reason = 'amount')
    RETURNING
        b.break_id,
        b.state,
        b.amount,
        b.fingerprint,
        CASE
            WHEN v.verdict = 'failed' THEN 'the rebate is reported as failed now'
            WHEN b.reason = 'turnover'
                THEN
                    FORMAT(
                        'turnover is %%s and the settled bets add up to %%s now', v.turnover, v.linked_turnover
                    )
            WHEN b.reason = 'amount'
                THEN
                    FORMAT(
                        '%%s was paid and %%s is expected now', v.rebate_amount, v.expected_amount
                    )
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
    INNER JOIN judge_breaks AS s ON s.rebate_id = w.rebate_id AND s.reason = w.reason
    WHERE s.is_event
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
