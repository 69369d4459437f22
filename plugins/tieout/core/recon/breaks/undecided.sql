-- The keys' breaks that neither stand nor have healed, because it is not decided: they stay as they are, words
-- included, but on the day and with the money of their rebate; an acceptance expires all the same. Parameters: agent,
-- judged_at.
INSERT INTO judge_breaks (rebate_id, reason, amount, bet_ids, sentence, fingerprint, state, is_event, since_run, cause)
SELECT
    b.rebate_id,
    b.reason,
    b.amount,
    b.bet_ids,
    b.sentence,
    b.fingerprint,
    CASE WHEN e.is_over THEN 'reopened' ELSE b.state END,
    e.is_over,
    b.run_id,
    CASE WHEN e.is_over THEN 'acceptance expired' END
FROM judge_verdicts AS v
INNER JOIN recon.breaks AS b ON b.agent = %(agent)s AND b.rebate_id = v.rebate_id
CROSS JOIN
    LATERAL (
        SELECT b.state = 'accepted' AND coalesce(b.accepted_until <= %(judged_at)s, FALSE) AS is_over
    ) AS e
WHERE
    b.state <> 'healed'
    AND NOT EXISTS (SELECT FROM judge_breaks AS s WHERE s.rebate_id = b.rebate_id AND s.reason = b.reason)
