-- The breaks that stand by the keys' verdicts, and what becomes of each: its next state, whether that is an event, and
-- why. Amounts are in the rebate's currency: turnover for what is wrong with bets, money for what is wrong with the
-- payment. Parameters: agent, judged_at.
WITH kinds AS (
    SELECT
        c.rebate_id,
        c.kind,
        c.is_fact,
        sum(c.amount) AS amount
    FROM judge_components AS c
    WHERE c.of = 'difference'
    GROUP BY c.rebate_id, c.kind, c.is_fact
),

listed AS (
    SELECT
        rebate_id,
        string_agg(kind || ' ' || amount::text, ', ' ORDER BY is_fact DESC, kind ASC) AS kinds,
        coalesce(sum(amount) FILTER (WHERE kind = 'missing'), 0) AS missing
    FROM kinds
    GROUP BY rebate_id
),

named AS (
    SELECT
        rebate_id,
        array_agg(DISTINCT bet_id) AS bet_ids
    FROM judge_components
    WHERE of = 'difference' AND bet_id <> ''
    GROUP BY rebate_id
),

-- What the sums are made of, as evidence of what is wrong with bets: the same parts written otherwise are the same.
evidence AS (
    SELECT
        rebate_id,
        string_agg(
            concat_ws(' ', of, kind, bet_id, trim_scale(amount)::text, evidence), ',' ORDER BY of, kind, bet_id
        ) AS parts
    FROM judge_components
    GROUP BY rebate_id
),

found AS (
    SELECT
        v.*,
        e.parts,
        reason.reason,
        l.kinds,
        k.wallet_txn_id,
        CASE reason.reason
            WHEN 'turnover' THEN v.difference
            WHEN 'amount' THEN v.rebate_amount - v.expected_amount
            WHEN 'missing_bet' THEN coalesce(l.missing, 0)
            WHEN 'voided_bet' THEN f.voided_turnover
            WHEN 'foreign_bet' THEN f.foreign_turnover
            WHEN 'reused_bet' THEN f.reused_turnover
            WHEN 'unsettled_bet' THEN f.unsettled_stake
            ELSE v.rebate_amount
        END AS amount,
        CASE reason.reason
            WHEN 'turnover' THEN coalesce(n.bet_ids, '{}')
            WHEN 'missing_bet' THEN v.missing_ids
            WHEN 'voided_bet' THEN v.voided_ids
            WHEN 'foreign_bet' THEN v.foreign_ids
            WHEN 'reused_bet' THEN v.reused_ids
            WHEN 'unsettled_bet' THEN v.unsettled_ids
            ELSE '{}'
        END AS bet_ids,
        CASE reason.reason
            WHEN 'wallet_txn_reused' THEN v.wallet_first_used_by
            WHEN 'paid_twice' THEN v.first_paid_by
        END AS other_rebate
    FROM judge_verdicts AS v
    INNER JOIN judge_keys AS k ON k.rebate_id = v.rebate_id
    LEFT JOIN judge_findings AS f ON f.rebate_id = v.rebate_id
    LEFT JOIN listed AS l ON l.rebate_id = v.rebate_id
    LEFT JOIN named AS n ON n.rebate_id = v.rebate_id
    LEFT JOIN evidence AS e ON e.rebate_id = v.rebate_id
    CROSS JOIN LATERAL unnest(v.reasons) AS reason (reason)
    WHERE v.verdict = 'break'
),

described AS (
    SELECT
        f.*,
        format('Rebate %%s of user %%s ', f.rebate_id, f.user_id) || CASE f.reason
            WHEN 'turnover'
                THEN format(
                    'states a turnover of %%s %%s; its settled bets add up to %%s. The difference of %%s is: %%s.',
                    f.turnover, f.currency, f.linked_turnover, f.difference, f.kinds
                )
            WHEN 'amount'
                THEN format(
                    'paid %%s %%s; %%s%%%% of %%s is %%s.',
                    f.rebate_amount, f.currency, f.rate, f.turnover, f.expected_amount
                )
            WHEN 'missing_bet'
                THEN format(
                    'names %%s that the provider does not report, presumably for a turnover of %%s %%s.',
                    w.bets, f.amount, f.currency
                )
            WHEN 'voided_bet'
                THEN format(
                    'names %%s that %%s cancelled or voided, once worth a turnover of %%s %%s.',
                    w.bets, w.were, f.amount, f.currency
                )
            WHEN 'foreign_bet'
                THEN format(
                    'names %%s of another user or currency, which adds %%s %%s to the turnover of its bets.',
                    w.bets, f.amount, f.currency
                )
            WHEN 'reused_bet'
                THEN format(
                    'names %%s twice, or after another rebate of activity %%s did, with a turnover of %%s %%s.',
                    w.bets, f.activity_id, f.amount, f.currency
                )
            WHEN 'unsettled_bet'
                THEN format(
                    'names %%s that %%s never settled, with stakes of %%s %%s.', w.bets, w.were, f.amount, f.currency
                )
            WHEN 'wallet_txn_missing'
                THEN format('paid %%s %%s without a wallet transaction.', f.rebate_amount, f.currency)
            WHEN 'wallet_txn_reused'
                THEN format(
                    'paid %%s %%s by wallet transaction %%s, which rebate %%s used first.',
                    f.rebate_amount, f.currency, f.wallet_txn_id, f.other_rebate
                )
            ELSE format(
                'paid %%s %%s for the same activity, day and bets as rebate %%s.',
                f.rebate_amount, f.currency, f.other_rebate
            )
        END AS sentence,
        -- Without trailing zeros: the same amount written otherwise is no other amount.
        'v2:' || md5(
            concat_ws(
                '|', f.reason, trim_scale(f.amount), f.bet_ids::text, f.other_rebate, trim_scale(f.overpaid)::text,
                CASE
                    WHEN f.reason NOT IN ('amount', 'wallet_txn_missing', 'wallet_txn_reused', 'paid_twice')
                        THEN f.parts
                END
            )
        ) AS fingerprint,
        -- What breaks were bound to before: one of that form has changed if this has, or the money beside it.
        md5(concat_ws('|', f.reason, trim_scale(f.amount), f.bet_ids::text, f.other_rebate)) AS first_form
    FROM found AS f
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN cardinality(f.bet_ids) = 1 THEN '1 bet' ELSE cardinality(f.bet_ids) || ' bets' END AS bets,
            CASE WHEN cardinality(f.bet_ids) = 1 THEN 'was' ELSE 'were' END AS were
    ) AS w
)

INSERT INTO judge_breaks (rebate_id, reason, amount, bet_ids, sentence, fingerprint, state, is_event, since_run, cause)
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
    old.run_id,
    CASE
        WHEN old.state IS NULL THEN 'found'
        WHEN old.state = 'healed' THEN 'found again'
        WHEN c.changed AND old.amount = d.amount AND old.overpaid <> d.overpaid
            THEN format('overpaid is %%s now and was %%s', trim_scale(d.overpaid), trim_scale(old.overpaid))
        WHEN c.changed THEN 'amount or evidence changed'
        WHEN old.state = 'accepted' AND c.expired THEN 'acceptance expired'
    END
FROM described AS d
LEFT JOIN recon.breaks AS old ON old.agent = %(agent)s AND old.rebate_id = d.rebate_id AND old.reason = d.reason
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            CASE
                WHEN old.fingerprint LIKE 'v2:%%' THEN old.fingerprint <> d.fingerprint
                ELSE old.fingerprint <> d.first_form OR old.overpaid <> d.overpaid
            END, FALSE
        ) AS changed,
        coalesce(old.accepted_until <= %(judged_at)s, FALSE) AS expired
) AS c
