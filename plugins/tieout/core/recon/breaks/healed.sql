-- The keys' breaks that no longer stand. Undecided is not healed: what the rebate's own rows decide heals at once, what
-- its bets' states decide when all that could hold them was read, what their sum decides when all of them are settled.
-- Parameters: agent.
INSERT INTO judge_breaks (rebate_id, reason, amount, bet_ids, sentence, fingerprint, state, is_event, since_run, cause)
SELECT
    b.rebate_id,
    b.reason,
    b.amount,
    b.bet_ids,
    b.sentence,
    b.fingerprint,
    'healed',
    TRUE,
    b.run_id,
    CASE
        WHEN v.verdict = 'failed' THEN 'the rebate is reported as failed now'
        WHEN b.reason = 'turnover'
            THEN format('turnover is %%s and the settled bets add up to %%s now', v.turnover, v.linked_turnover)
        WHEN b.reason = 'amount'
            THEN format('%%s was paid and %%s is expected now', v.rebate_amount, v.expected_amount)
        WHEN b.reason = 'missing_bet' THEN 'the provider reports every bet named now'
        WHEN b.reason = 'voided_bet' THEN 'no bet named is cancelled or voided now'
        WHEN b.reason = 'foreign_bet' THEN 'every bet named is of its user and currency now'
        WHEN b.reason = 'reused_bet' THEN 'no bet named was claimed before now'
        WHEN b.reason = 'unsettled_bet' THEN 'no bet named is overdue now'
        WHEN b.reason = 'wallet_txn_missing' THEN 'a wallet transaction is named now'
        WHEN b.reason = 'wallet_txn_reused' THEN 'no rebate before it has its wallet transaction now'
        ELSE 'no rebate before it made the same payment now'
    END
FROM judge_verdicts AS v
INNER JOIN recon.breaks AS b ON b.agent = %(agent)s AND b.rebate_id = v.rebate_id
WHERE
    b.state <> 'healed' AND NOT b.reason = any(v.reasons)
    AND (
        v.is_decided
        OR b.reason IN ('amount', 'foreign_bet', 'reused_bet', 'wallet_txn_missing', 'wallet_txn_reused', 'paid_twice')
        OR (v.is_read AND b.reason IN ('missing_bet', 'voided_bet', 'unsettled_bet'))
    )
