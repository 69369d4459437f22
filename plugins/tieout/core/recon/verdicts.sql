-- The judge: one verdict per key, from staging, ledger and settings only (see tables.sql for what was gathered); never
-- the clock, never an earlier verdict. Parameters: agent, run_id, judged_at, settings (jsonb).
WITH settings AS (
    SELECT
        (%(settings)s::jsonb ->> 'turnover_tolerance')::numeric AS turnover_tolerance,
        (%(settings)s::jsonb ->> 'amount_tolerance')::numeric AS amount_tolerance,
        %(settings)s::jsonb -> 'rounding' AS rounding
),

facts AS (
    SELECT
        r.id,
        r.activity_id,
        r.user_id,
        r.currency,
        r.turnover,
        r.rate,
        r.rebate_amount,
        r.status,
        r.create_time,
        k.day,
        n.linked_bets,
        n.linked_turnover,
        n.entitled_turnover,
        n.missing_ids,
        n.voided_ids,
        n.has_unsettled,
        n.has_rejected,
        c.open_gaps,
        r.turnover - n.linked_turnover AS difference,
        recon.round_money(r.turnover * r.rate * 0.01, (e.rounding ->> 'places')::int, e.rounding ->> 'mode')
            AS expected_amount,
        recon.round_money(n.entitled_turnover * r.rate * 0.01, (e.rounding ->> 'places')::int, e.rounding ->> 'mode')
            AS entitled,
        -- A rebate that names no bet depends on no slice.
        n.linked_bets > 0 AND NOT isempty(c.open_gaps) AS not_fetched,
        -- An absent bet may lie outside of what was ever ours to read; a bet we hold may have changed in what is lost.
        (cardinality(n.missing_ids) > 0 AND (c.not_ours OR NOT isempty(c.lost_gaps)))
        OR coalesce(n.oldest_state < upper(c.lost_gaps), FALSE) AS out_of_reach
    FROM judge_keys AS k
    INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = k.rebate_id
    INNER JOIN judge_sums AS n ON n.rebate_id = k.rebate_id
    INNER JOIN judge_coverage AS c ON c.could_hold = k.could_hold
    CROSS JOIN settings AS s
    CROSS JOIN LATERAL (SELECT coalesce(s.rounding -> r.currency, s.rounding -> 'default') AS rounding) AS e
),

reasoned AS (
    SELECT
        f.*,
        f.not_fetched OR f.has_unsettled OR f.has_rejected AS undecided,
        -- Provable whatever the undecided bets turn out to be.
        array_remove(ARRAY[
            CASE WHEN abs(f.rebate_amount - f.expected_amount) > s.amount_tolerance THEN 'amount' END,
            CASE WHEN cardinality(f.voided_ids) > 0 THEN 'voided_bet' END
        ], NULL) AS certain,
        array_remove(ARRAY[
            CASE WHEN cardinality(f.missing_ids) > 0 THEN 'missing_bet' END,
            CASE WHEN abs(f.difference) > s.turnover_tolerance THEN 'turnover' END
        ], NULL) AS dependent
    FROM facts AS f
    CROSS JOIN settings AS s
),

judged AS (
    SELECT
        r.*,
        CASE
            WHEN r.status = 0 THEN 'failed'
            WHEN cardinality(r.certain) > 0 THEN 'break'
            WHEN r.undecided THEN 'pending'
            WHEN r.out_of_reach THEN 'unprovable'
            WHEN cardinality(r.dependent) > 0 THEN 'break'
            ELSE 'matched'
        END AS verdict,
        -- Part of it still waits; a break may also have reasons that cannot be proven yet.
        r.status <> 0 AND r.undecided AS waits,
        r.status = 0 OR NOT (r.undecided OR r.out_of_reach) AS decided
    FROM reasoned AS r
),

-- Tells the life of breaks which keys have no reason left to be found.
marked AS (
    UPDATE judge_keys AS k SET decided = j.decided
    FROM judged AS j
    WHERE k.rebate_id = j.id
)

INSERT INTO recon.rebates AS t (
    agent, rebate_id, run_id, day, activity_id, user_id, currency, create_time, verdict, reasons, warnings,
    provisional_reasons, pending_reason, waits_for, turnover, rate, rebate_amount, linked_bets, linked_turnover,
    difference, expected_amount, entitled_turnover, entitled, overpaid, severity, judged_at,
    missing_ids, voided_ids
)
SELECT
    %(agent)s, j.id, %(run_id)s, j.day, j.activity_id, j.user_id, j.currency, j.create_time, j.verdict,
    CASE
        WHEN j.verdict <> 'break' THEN '{}'
        WHEN j.decided THEN j.certain || j.dependent
        ELSE j.certain
    END,
    '{}',
    CASE WHEN j.waits THEN j.dependent ELSE '{}' END,
    CASE
        WHEN NOT j.waits THEN NULL
        WHEN j.has_rejected THEN 'rejected'
        WHEN j.not_fetched THEN 'not_fetched'
        ELSE 'unsettled'
    END,
    CASE WHEN j.waits AND j.not_fetched THEN j.open_gaps END,
    j.turnover, j.rate, j.rebate_amount, j.linked_bets, j.linked_turnover, j.difference, j.expected_amount,
    j.entitled_turnover, j.entitled, j.rebate_amount - j.entitled,
    CASE
        WHEN j.verdict <> 'break' THEN NULL
        WHEN abs(j.rebate_amount - j.entitled) >= 100 THEN 'high'
        WHEN abs(j.rebate_amount - j.entitled) >= 1 THEN 'medium'
        ELSE 'low'
    END,
    %(judged_at)s, j.missing_ids, j.voided_ids
FROM judged AS j
ORDER BY j.id
ON CONFLICT (agent, rebate_id) DO UPDATE SET
    run_id = excluded.run_id, day = excluded.day, activity_id = excluded.activity_id, user_id = excluded.user_id,
    currency = excluded.currency, create_time = excluded.create_time, verdict = excluded.verdict,
    reasons = excluded.reasons, warnings = excluded.warnings, provisional_reasons = excluded.provisional_reasons,
    pending_reason = excluded.pending_reason, waits_for = excluded.waits_for, turnover = excluded.turnover,
    rate = excluded.rate, rebate_amount = excluded.rebate_amount, linked_bets = excluded.linked_bets,
    linked_turnover = excluded.linked_turnover, difference = excluded.difference,
    expected_amount = excluded.expected_amount, entitled_turnover = excluded.entitled_turnover,
    entitled = excluded.entitled, overpaid = excluded.overpaid, severity = excluded.severity,
    judged_at = excluded.judged_at, missing_ids = excluded.missing_ids, voided_ids = excluded.voided_ids
