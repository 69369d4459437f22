-- The judge: one row per key of judge_keys, from staging, ledger and settings only; never the clock, never an
-- earlier verdict. Parameters: agent, run_id, judged_at, settings (jsonb).
WITH settings AS (
    SELECT
        (%(settings)s::jsonb ->> 'turnover_tolerance')::numeric AS turnover_tolerance,
        (%(settings)s::jsonb ->> 'amount_tolerance')::numeric AS amount_tolerance,
        %(settings)s::jsonb -> 'rounding' AS rounding,
        make_interval(secs => (%(settings)s::jsonb ->> 'bet_lookback_seconds')::int) AS bet_lookback
),

keys AS (
    SELECT
        r.*,
        (r.date AT TIME ZONE 'UTC')::date AS day,
        coalesce(s.rounding -> r.currency, s.rounding -> 'default') AS rounding,
        -- Hours: enough to be exact about slices, few enough to look coverage up once per hour, not per rebate.
        tstzrange(
            least(r.date - s.bet_lookback, date_trunc('hour', r.create_time)),
            date_trunc('hour', r.create_time) + interval '2 hours'
        ) AS could_hold
    FROM judge_keys AS k
    INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = k.rebate_id
    CROSS JOIN settings AS s
),

-- What the ledger proves of this agent's bets feed.
ledger AS (
    SELECT
        tstzmultirange(tstzrange(a.start_at, a.stop_at)) AS responsible,
        coalesce((
            SELECT range_agg(tstzrange(c.slice_start, c.slice_end))
            FROM ops.readings AS c
            WHERE c.provider = 'lucko' AND c.feed = 'bets' AND c.agent = %(agent)s AND c.state = 'certified'
        ), '{}') AS certified
    FROM ops.agents AS a
    WHERE a.provider = 'lucko' AND a.feed = 'bets' AND a.agent = %(agent)s
),

first_readings AS (
    SELECT slice_start, slice_end, min(pulled_at) AS pulled_at
    FROM ops.readings
    WHERE provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s AND state = 'certified'
    GROUP BY slice_start, slice_end
),

-- A change moves a bet to a later slice: every slice up to the latest first reading could hold it too.
coverage AS (
    SELECT
        spans.could_hold,
        tstzmultirange(
            spans.could_hold + tstzrange(upper(spans.could_hold), greatest(upper(spans.could_hold), f.pulled_at))
        ) * l.responsible - l.certified AS gaps,
        NOT isempty(tstzmultirange(spans.could_hold) - l.responsible) AS before_start
    FROM (SELECT DISTINCT could_hold FROM keys) AS spans
    CROSS JOIN ledger AS l
    CROSS JOIN LATERAL (
        SELECT max(fr.pulled_at) AS pulled_at
        FROM first_readings AS fr
        WHERE fr.slice_start < upper(spans.could_hold) AND fr.slice_end > lower(spans.could_hold)
    ) AS f
),

-- Sums over distinct linked bets; a rebate without links has sums of zero.
linked AS (
    SELECT
        k.id,
        count(l.bet_id) AS linked_bets,
        coalesce(sum(b.valid_bet_turnover) FILTER (WHERE b.status = 1 AND b.currency = k.currency), 0)
            AS linked_turnover,
        coalesce(sum(b.valid_bet_turnover) FILTER (
            WHERE b.status = 1 AND b.currency = k.currency AND b.user_id = k.user_id AND NOT claimed.earlier
        ), 0) AS entitled_turnover,
        coalesce(array_agg(l.bet_id ORDER BY l.bet_id) FILTER (
            WHERE l.bet_id IS NOT NULL AND b.id IS NULL AND NOT rejected.is_rejected
        ), '{}') AS missing_ids,
        coalesce(array_agg(l.bet_id ORDER BY l.bet_id) FILTER (
            WHERE b.status IS NOT NULL AND b.status NOT IN (0, 1)
        ), '{}') AS voided_ids,
        count(*) FILTER (WHERE b.status = 0) AS unsettled,
        count(*) FILTER (WHERE l.bet_id IS NOT NULL AND b.id IS NULL AND rejected.is_rejected) AS rejected
    FROM keys AS k
    LEFT JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = k.id
    LEFT JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = l.bet_id
    LEFT JOIN LATERAL (
        SELECT EXISTS (
            SELECT 1
            FROM staging.lucko_rebate_bets AS l2
            INNER JOIN staging.lucko_rebates AS r2 ON r2.agent = l2.agent AND r2.id = l2.rebate_id
            WHERE l2.agent = %(agent)s AND l2.bet_id = l.bet_id AND l2.rebate_id <> k.id
                AND r2.status = 1 AND r2.activity_id = k.activity_id
                AND (r2.create_time, r2.id) < (k.create_time, k.id)
        ) AS earlier
    ) AS claimed ON TRUE
    LEFT JOIN LATERAL (
        SELECT b.id IS NULL AND EXISTS (
            SELECT 1
            FROM ops.rejects AS j
            WHERE j.provider = 'lucko' AND j.feed = 'bets' AND j.agent = %(agent)s AND j.natural_key = l.bet_id
        ) AS is_rejected
    ) AS rejected ON TRUE
    GROUP BY k.id
),

facts AS (
    SELECT
        k.*,
        n.linked_bets,
        n.linked_turnover,
        n.entitled_turnover,
        n.missing_ids,
        n.voided_ids,
        c.gaps,
        k.turnover - n.linked_turnover AS difference,
        recon.round_money(
            k.turnover * k.rate * 0.01, (k.rounding ->> 'places')::int, k.rounding ->> 'mode'
        ) AS expected_amount,
        recon.round_money(
            n.entitled_turnover * k.rate * 0.01, (k.rounding ->> 'places')::int, k.rounding ->> 'mode'
        ) AS entitled,
        -- A rebate that names no bet depends on no slice.
        n.linked_bets > 0 AND NOT isempty(c.gaps) AS not_covered,
        n.unsettled > 0 AS has_unsettled,
        n.rejected > 0 AS has_rejected,
        c.before_start AND cardinality(n.missing_ids) > 0 AS needs_older_slices
    FROM keys AS k
    INNER JOIN linked AS n ON n.id = k.id
    INNER JOIN coverage AS c ON c.could_hold = k.could_hold
),

reasoned AS (
    SELECT
        f.*,
        f.not_covered OR f.has_unsettled OR f.has_rejected AS undecided,
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
            WHEN r.needs_older_slices THEN 'unprovable'
            WHEN cardinality(r.dependent) > 0 THEN 'break'
            ELSE 'matched'
        END AS verdict
    FROM reasoned AS r
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
        WHEN j.undecided OR j.needs_older_slices THEN j.certain
        ELSE j.certain || j.dependent
    END,
    '{}',
    CASE WHEN j.verdict = 'pending' THEN j.certain || j.dependent ELSE '{}' END,
    CASE
        WHEN j.verdict <> 'pending' THEN NULL
        WHEN j.not_covered THEN 'not_fetched'
        WHEN j.has_rejected THEN 'rejected'
        ELSE 'unsettled'
    END,
    CASE WHEN j.verdict = 'pending' AND j.not_covered THEN j.gaps END,
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
