-- The life of breaks: what stands or has healed (judge_breaks) becomes what recon.breaks holds. Only a change of state,
-- amount or evidence is an event. Parameters: agent, run_id, judged_at.
WITH written AS (
    INSERT INTO recon.breaks AS b (
        agent, rebate_id, reason, day, user_id, currency, state, amount, overpaid, bet_ids, sentence, fingerprint,
        opened_at, changed_at, run_id, accepted_reason, accepted_by, accepted_fingerprint
    )
    SELECT
        v.agent, s.rebate_id, s.reason, v.day, v.user_id, v.currency, s.state, s.amount, v.overpaid, s.bet_ids,
        s.sentence, s.fingerprint, %(judged_at)s, %(judged_at)s,
        -- The run of its last event: what was loaded since may be the cause of the next.
        CASE WHEN s.is_event THEN %(run_id)s ELSE s.since_run END,
        -- Of a known break, though they are not written: constraints look at what would be inserted, too.
        old.accepted_reason, old.accepted_by,
        -- What still is accepted is what was; only the form of a fingerprint may be another one.
        CASE WHEN s.state = 'accepted' THEN s.fingerprint ELSE old.accepted_fingerprint END
    FROM judge_breaks AS s
    INNER JOIN judge_verdicts AS v ON v.rebate_id = s.rebate_id
    LEFT JOIN recon.breaks AS old ON old.agent = v.agent AND old.rebate_id = s.rebate_id AND old.reason = s.reason
    ORDER BY s.rebate_id, s.reason
    ON CONFLICT (agent, rebate_id, reason) DO UPDATE
        SET
            day = excluded.day, user_id = excluded.user_id, currency = excluded.currency, state = excluded.state,
            amount = excluded.amount, overpaid = excluded.overpaid, bet_ids = excluded.bet_ids,
            sentence = excluded.sentence, fingerprint = excluded.fingerprint, changed_at = excluded.changed_at,
            run_id = excluded.run_id, accepted_fingerprint = excluded.accepted_fingerprint
        WHERE (b.day, b.user_id, b.currency, b.state, b.overpaid, b.sentence, b.fingerprint)
        IS DISTINCT FROM (
            excluded.day, excluded.user_id, excluded.currency, excluded.state, excluded.overpaid, excluded.sentence,
            excluded.fingerprint
        )
    RETURNING b.break_id, b.rebate_id, b.reason
)

INSERT INTO recon.break_events (
    break_id, run_id, state, amount, fingerprint, cause, load_id, bet_id, reading_id, happened_at
)
SELECT
    w.break_id,
    %(run_id)s,
    s.state,
    s.amount,
    s.fingerprint,
    s.cause,
    s.load_id,
    s.bet_id,
    s.reading_id,
    %(judged_at)s
FROM written AS w
INNER JOIN judge_breaks AS s ON s.rebate_id = w.rebate_id AND s.reason = w.reason
WHERE s.is_event
ORDER BY w.break_id
