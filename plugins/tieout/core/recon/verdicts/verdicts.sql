-- The judge: one verdict per key, from staging, ledger and settings only (see tables.sql for what was gathered); never
-- the clock, never an earlier verdict. stored.py writes what it says.
WITH facts AS (
    SELECT
        k.*,
        n.linked_bets,
        n.linked_turnover,
        n.linked_turnover - coalesce(f.unentitled_turnover, 0) AS entitled_turnover,
        n.bets_of_other_days,
        coalesce(f.missing_ids, '{}') AS missing_ids,
        coalesce(f.voided_ids, '{}') AS voided_ids,
        coalesce(f.foreign_ids, '{}') AS foreign_ids,
        coalesce(f.reused_ids, '{}') AS reused_ids,
        coalesce(f.unsettled_ids, '{}') AS unsettled_ids,
        coalesce(f.has_unsettled, FALSE) AS has_unsettled,
        coalesce(f.has_rejected, FALSE) AS has_rejected,
        f.recheck_at,
        coalesce(f.awaited, '{}') AS awaited,
        coalesce(f.lost, '{}') AS lost_settling,
        f.rebate_id IS NOT NULL OR p.rebate_id IS NOT NULL AS is_special,
        p.wallet_first_used_by,
        p.first_paid_by,
        c.open_gaps,
        c.lost_gaps,
        u.places,
        u.mode,
        u.turnover AS turnover_tolerance,
        u.turnover_relative,
        u.amount AS amount_tolerance,
        u.amount_relative,
        u.medium,
        u.high,
        k.turnover - n.linked_turnover AS difference,
        recon.round_money(k.turnover * k.rate * 0.01, u.places, u.mode) AS expected_amount,
        -- A rebate that names no bet depends on no slice.
        n.linked_bets > 0 AND NOT isempty(c.open_gaps) AS not_fetched,
        -- An absent bet may lie outside of what was ever ours to read; a bet we hold may have changed in what is lost.
        (coalesce(cardinality(f.missing_ids), 0) > 0 AND (c.not_ours OR NOT isempty(c.lost_gaps)))
        OR coalesce(n.oldest_state < upper(c.lost_gaps), FALSE) AS out_of_reach,
        -- A bet of which nobody can say any more whether it was settled in time.
        coalesce(f.is_never_told, FALSE) AS is_never_told
    FROM judge_keys AS k
    INNER JOIN judge_sums AS n ON n.rebate_id = k.rebate_id
    -- Ranges have no statistics of equality: an inner join would look like a few rows, and all that follows, too.
    LEFT JOIN judge_coverage AS c ON c.could_hold = k.could_hold
    INNER JOIN judge_rules AS u ON u.currency = k.currency
    LEFT JOIN judge_findings AS f ON f.rebate_id = k.rebate_id
    LEFT JOIN judge_repeats AS p ON p.rebate_id = k.rebate_id
    -- Here and below: each expression is computed once, not wherever a later part names it.
    OFFSET 0 -- noqa: AM09
),

suspected AS (
    SELECT
        *,
        is_special OR rebate_amount <> expected_amount OR wallet_txn_id IS NULL AS is_suspicious
    FROM facts
),

reasoned AS (
    SELECT
        f.*,
        recon.round_money(f.entitled_turnover * f.rate * 0.01, f.places, f.mode) AS entitled,
        f.not_fetched OR f.has_unsettled OR f.has_rejected AS undecided,
        -- Provable whatever the undecided bets turn out to be. Most rebates have nothing of it: lists cost.
        CASE
            WHEN f.is_suspicious
                THEN
                    array_remove(ARRAY[
                        CASE
                            WHEN
                                abs(f.rebate_amount - f.expected_amount)
                                > greatest(f.amount_tolerance, f.amount_relative * abs(f.expected_amount))
                                THEN 'amount'
                        END,
                        -- All that could hold it was read, whatever becomes of the other bets.
                        CASE
                            WHEN
                                cardinality(f.missing_ids) > 0 AND NOT (f.not_fetched OR f.out_of_reach)
                                THEN 'missing_bet'
                        END,
                        CASE WHEN cardinality(f.voided_ids) > 0 THEN 'voided_bet' END,
                        CASE WHEN cardinality(f.foreign_ids) > 0 THEN 'foreign_bet' END,
                        CASE WHEN cardinality(f.reused_ids) > 0 THEN 'reused_bet' END,
                        CASE WHEN f.wallet_txn_id IS NULL THEN 'wallet_txn_missing' END,
                        CASE WHEN f.wallet_first_used_by IS NOT NULL THEN 'wallet_txn_reused' END,
                        CASE WHEN f.first_paid_by IS NOT NULL THEN 'paid_twice' END,
                        CASE WHEN cardinality(f.unsettled_ids) > 0 THEN 'unsettled_bet' END
                    ], NULL)
            ELSE '{}'
        END AS certain,
        CASE
            WHEN f.difference = 0 AND NOT f.is_special THEN '{}'
            ELSE
                array_remove(ARRAY[
                    CASE
                        WHEN cardinality(f.missing_ids) > 0 AND (f.not_fetched OR f.out_of_reach) THEN 'missing_bet'
                    END,
                    CASE
                        WHEN
                            abs(f.difference)
                            > greatest(f.turnover_tolerance, f.turnover_relative * abs(f.linked_turnover))
                            THEN 'turnover'
                    END
                ], NULL)
        END AS dependent
    FROM suspected AS f
    OFFSET 0 -- noqa: AM09
),

judged AS (
    SELECT
        r.*,
        CASE
            WHEN r.status = 0 THEN 'failed'
            WHEN cardinality(r.certain) > 0 THEN 'break'
            WHEN r.undecided THEN 'pending'
            WHEN r.out_of_reach OR r.is_never_told THEN 'unprovable'
            WHEN cardinality(r.dependent) > 0 THEN 'break'
            ELSE 'matched'
        END AS verdict,
        r.status <> 0 AS is_paid,
        -- Part of it still waits; a break may also have reasons that cannot be proven yet.
        r.status <> 0 AND r.undecided AS waits,
        r.status = 0 OR NOT (r.undecided OR r.out_of_reach OR r.is_never_told) AS is_decided
    FROM reasoned AS r
    OFFSET 0 -- noqa: AM09
)

SELECT
    j.agent,
    j.rebate_id,
    j.day,
    j.activity_id,
    j.user_id,
    j.currency,
    j.create_time,
    j.verdict,
    CASE
        WHEN j.verdict <> 'break' THEN '{}'
        WHEN j.is_decided THEN j.certain || j.dependent
        ELSE j.certain
    END AS reasons,
    CASE WHEN j.is_paid AND j.bets_of_other_days > 0 THEN '{date}'::text[] ELSE '{}' END AS warnings,
    CASE WHEN j.waits THEN j.dependent ELSE '{}' END AS provisional_reasons,
    CASE
        WHEN NOT j.waits THEN NULL
        WHEN j.has_rejected THEN 'rejected'
        WHEN j.not_fetched THEN 'not_fetched'
        ELSE 'unsettled'
    END AS pending_reason,
    CASE
        WHEN j.waits THEN nullif(CASE WHEN j.not_fetched THEN j.open_gaps ELSE '{}' END + j.awaited, '{}')
    END AS waits_for,
    CASE
        WHEN j.is_paid
            THEN nullif(CASE WHEN j.out_of_reach THEN j.lost_gaps ELSE '{}' END + j.lost_settling, '{}')
    END AS lost_slices,
    j.turnover,
    j.rate,
    j.rebate_amount,
    j.linked_bets,
    j.linked_turnover,
    j.difference,
    j.expected_amount,
    j.entitled_turnover,
    j.entitled,
    j.rebate_amount - j.entitled AS overpaid,
    CASE
        WHEN j.verdict <> 'break' THEN NULL
        WHEN abs(j.rebate_amount - j.entitled) >= j.high THEN 'high'
        WHEN abs(j.rebate_amount - j.entitled) >= j.medium THEN 'medium'
        ELSE 'low'
    END AS severity,
    CASE WHEN j.is_paid THEN j.missing_ids ELSE '{}' END AS missing_ids,
    CASE WHEN j.is_paid THEN j.voided_ids ELSE '{}' END AS voided_ids,
    CASE WHEN j.is_paid THEN j.foreign_ids ELSE '{}' END AS foreign_ids,
    CASE WHEN j.is_paid THEN j.reused_ids ELSE '{}' END AS reused_ids,
    CASE WHEN j.is_paid THEN j.unsettled_ids ELSE '{}' END AS unsettled_ids,
    CASE WHEN j.is_paid THEN j.wallet_first_used_by END AS wallet_first_used_by,
    CASE WHEN j.is_paid THEN j.first_paid_by END AS first_paid_by,
    CASE WHEN j.is_paid THEN j.bets_of_other_days ELSE 0 END AS bets_of_other_days,
    j.could_hold,
    CASE WHEN j.is_paid THEN j.recheck_at END AS recheck_at,
    j.is_decided,
    j.status = 0 OR NOT (j.not_fetched OR j.has_rejected OR j.out_of_reach OR j.is_never_told) AS is_read
FROM judged AS j
