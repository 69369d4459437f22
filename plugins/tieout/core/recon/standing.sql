-- The breaks that stand by the keys' verdicts, and what becomes of each: its next state, whether that is an event, and
-- why. Parameters: agent, judged_at.
WITH found AS (
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
    FROM judge_keys AS k
    INNER JOIN recon.rebates AS v ON v.agent = %(agent)s AND v.rebate_id = k.rebate_id
    CROSS JOIN LATERAL unnest(v.reasons) AS reason (reason)
),

described AS (
    SELECT
        f.*,
        CASE f.reason
            WHEN 'turnover'
                THEN
                    format(
                        'Rebate %%s of user %%s states a turnover of %%s %%s; its settled bets add up to %%s.',
                        f.rebate_id, f.user_id, f.turnover, f.currency, f.linked_turnover
                    )
            WHEN 'amount'
                THEN
                    format(
                        'Rebate %%s of user %%s paid %%s %%s; %%s%%%% of %%s is %%s.',
                        f.rebate_id, f.user_id, f.rebate_amount, f.currency, f.rate, f.turnover, f.expected_amount
                    )
            WHEN 'missing_bet'
                THEN
                    format(
                        'Rebate %%s of user %%s names %%s bet(s) that the provider does not report.',
                        f.rebate_id, f.user_id, cardinality(f.missing_ids)
                    )
            ELSE format(
                'Rebate %%s of user %%s names %%s bet(s) that were cancelled or voided.',
                f.rebate_id, f.user_id, cardinality(f.voided_ids)
            )
        END AS sentence,
        -- Without trailing zeros: the same amount written otherwise is no other amount.
        md5(concat_ws('|', f.reason, trim_scale(f.amount), f.bet_ids::text)) AS fingerprint
    FROM found AS f
)

INSERT INTO judge_breaks (rebate_id, reason, amount, bet_ids, sentence, fingerprint, state, is_event, cause)
SELECT
    d.rebate_id,
    d.reason,
    d.amount,
    d.bet_ids,
    d.sentence,
    d.fingerprint,
    CASE
        WHEN old.state IS NULL THEN 'open'
        WHEN old.state = 'healed' OR (old.state = 'accepted' AND (c.changed OR c.expired)) THEN 'reopened'
        ELSE old.state
    END,
    old.state IS NULL OR old.state = 'healed' OR c.changed OR (old.state = 'accepted' AND c.expired),
    CASE
        WHEN old.state IS NULL THEN 'found'
        WHEN old.state = 'healed' THEN 'found again'
        WHEN c.changed THEN 'amount or evidence changed'
        WHEN old.state = 'accepted' AND c.expired THEN 'acceptance expired'
    END
FROM described AS d
LEFT JOIN recon.breaks AS old ON old.agent = %(agent)s AND old.rebate_id = d.rebate_id AND old.reason = d.reason
CROSS JOIN LATERAL (
    SELECT
        coalesce(old.fingerprint <> d.fingerprint, FALSE) AS changed,
        coalesce(old.accepted_until <= %(judged_at)s, FALSE) AS expired
) AS c
