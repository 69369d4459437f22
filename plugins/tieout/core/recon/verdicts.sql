-- The judge: one row per key of judge_keys, from staging, ledger and settings only; never the clock, never an
-- earlier verdict. Parameters: agent, run_id, judged_at, settings (jsonb).
WITH settings AS (
    SELECT
        (%(settings)s::jsonb ->> 'turnover_tolerance')::numeric AS turnover_tolerance,
        (%(settings)s::jsonb ->> 'amount_tolerance')::numeric AS amount_tolerance,
        %(settings)s::jsonb -> 'rounding' AS rounding,
        %(settings)s::jsonb ->> 'timezone' AS timezone,
        make_interval(secs => (%(settings)s::jsonb ->> 'bet_lookback_seconds')::int) AS bet_lookback
),

-- The bets feed as declared: its slices, and the time the agent answers for (whole slices, as they are read).
feed AS (
    SELECT
        w.width,
        w.origin,
        a.reach,
        tstzmultirange(tstzrange(
            date_bin(w.width, a.start_at + w.width - interval '1 microsecond', w.origin),
            date_bin(w.width, a.stop_at + w.width - interval '1 microsecond', w.origin)
        )) AS responsible
    FROM ops.agents AS a
    CROSS JOIN LATERAL (
        SELECT
            make_interval(secs => extract(epoch FROM a.slice_width)::double precision) AS width,
            timestamptz '2000-01-01 00:00+00' + a.slice_anchor AS origin
    ) AS w
    WHERE a.provider = 'lucko' AND a.feed = 'bets' AND a.agent = %(agent)s
),

-- could_hold: the slices that meet [settlement day's start - lookback, create_time + 1 h].
keys AS (
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
        d.day,
        coalesce(s.rounding -> r.currency, s.rounding -> 'default') AS rounding,
        tstzrange(
            date_bin(
                f.width, least(d.day::timestamp AT TIME ZONE s.timezone - s.bet_lookback, r.create_time), f.origin
            ),
            date_bin(f.width, r.create_time + interval '1 hour', f.origin) + f.width
        ) AS could_hold
    FROM judge_keys AS k
    INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = k.rebate_id
    -- The date is a label: the UTC day of its midnight, whatever the agent's timezone.
    CROSS JOIN LATERAL (SELECT (r.date AT TIME ZONE 'UTC')::date AS day) AS d
    CROSS JOIN settings AS s
    CROSS JOIN feed AS f
),

readings AS (
    SELECT
        slice_start,
        slice_end,
        state,
        pulled_at
    FROM ops.readings
    WHERE provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s
),

-- What the ledger proves: what was read, and what can no longer be (older than the reach when the agent was last
-- answered; a reading that landed or is suspect is not lost, it can be loaded again).
ledger AS MATERIALIZED (
    SELECT
        f.width,
        f.origin,
        f.responsible,
        coalesce((
            SELECT range_agg(tstzrange(slice_start, slice_end)) FROM readings WHERE state = 'certified'
        ), '{}') AS certified,
        CASE
            WHEN f.reach IS NULL THEN '{}'
            ELSE coalesce((
                SELECT tstzmultirange(tstzrange(
                    NULL,
                    date_bin(f.width, max(pulled_at) - f.reach + f.width - interval '1 microsecond', f.origin)
                ))
                FROM ops.readings
                WHERE provider = 'lucko' AND agent = %(agent)s
            ), '{}') - coalesce((
                SELECT range_agg(tstzrange(slice_start, slice_end)) FROM readings WHERE state <> 'certified'
            ), '{}')
        END AS out_of_reach
    FROM feed AS f
),

-- Every slice's first reading, and what had been read before it.
first_readings AS (
    SELECT
        tstzrange(slice_start, slice_end) AS slice,
        min(pulled_at) AS pulled_at,
        range_agg(tstzrange(slice_start, slice_end)) OVER (
            ORDER BY min(pulled_at), slice_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS read_before
    FROM readings
    WHERE state = 'certified'
        AND slice_start < (SELECT max(upper(could_hold)) FROM keys)
        AND slice_end > (SELECT min(lower(could_hold)) FROM keys)
    GROUP BY slice_start, slice_end
),

-- A change moves a bet to a later slice: every slice up to the latest of the first readings could hold it too.
coverage AS (
    SELECT
        could_hold,
        gaps - out_of_reach AS open_gaps,
        gaps * out_of_reach AS lost_gaps,
        not_ours
    FROM (
        SELECT
            spans.could_hold,
            tstzmultirange(tstzrange(
                lower(spans.could_hold),
                greatest(
                    upper(spans.could_hold),
                    date_bin(l.width, max(fr.pulled_at) + l.width - interval '1 microsecond', l.origin)
                )
            )) * l.responsible - l.certified AS gaps,
            NOT tstzmultirange(spans.could_hold) <@ l.responsible AS not_ours,
            l.out_of_reach
        FROM (SELECT DISTINCT could_hold FROM keys) AS spans
        CROSS JOIN ledger AS l
        LEFT JOIN first_readings AS fr
            ON fr.slice && spans.could_hold
                -- What only repeats, at whatever width, is no first reading.
                AND NOT coalesce(fr.slice * spans.could_hold <@ fr.read_before, FALSE)
        GROUP BY spans.could_hold, l.width, l.origin, l.responsible, l.certified, l.out_of_reach
    ) AS c
),

links AS (
    SELECT
        l.rebate_id,
        l.bet_id
    FROM keys AS k
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = k.id
),

-- Links whose bet an earlier successful rebate of the same activity names.
claimed AS (
    SELECT
        rebate_id,
        bet_id
    FROM (
        SELECT
            l.rebate_id,
            l.bet_id,
            count(*) FILTER (WHERE r.status <> 0) OVER (
                PARTITION BY r.activity_id, l.bet_id ORDER BY r.create_time, r.id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS claims_before
        FROM (
            SELECT shared.bet_id
            FROM (SELECT DISTINCT bet_id FROM links) AS named
            INNER JOIN staging.lucko_rebate_bets AS shared ON shared.agent = %(agent)s AND shared.bet_id = named.bet_id
            GROUP BY shared.bet_id
            HAVING count(*) > 1
        ) AS several
        INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = several.bet_id
        INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = l.rebate_id
    ) AS c
    WHERE claims_before > 0
),

-- Bets whose row was set aside and whose slice has not been read cleanly since.
rejected AS (
    SELECT DISTINCT j.natural_key AS bet_id
    FROM ops.rejects AS j
    INNER JOIN ops.readings AS r ON r.reading_id = j.reading_id
    WHERE j.provider = 'lucko' AND j.feed = 'bets' AND j.agent = %(agent)s AND j.natural_key IS NOT NULL
        AND NOT tstzrange(r.slice_start, r.slice_end) <@ coalesce((
            SELECT range_agg(tstzrange(later.slice_start, later.slice_end))
            FROM readings AS later
            WHERE later.state = 'certified' AND later.pulled_at > r.pulled_at
        ), '{}')
),

-- Sums over distinct linked bets; a rebate without links has sums of zero.
linked AS (
    SELECT
        k.id,
        count(l.bet_id) AS linked_bets,
        coalesce(sum(b.valid_bet_turnover) FILTER (WHERE b.status = 1 AND b.currency = k.currency), 0)
            AS linked_turnover,
        coalesce(sum(b.valid_bet_turnover) FILTER (
            WHERE b.status = 1 AND b.currency = k.currency AND b.user_id = k.user_id AND c.bet_id IS NULL
        ), 0) AS entitled_turnover,
        coalesce(array_agg(l.bet_id ORDER BY l.bet_id) FILTER (
            WHERE l.bet_id IS NOT NULL AND b.id IS NULL AND j.bet_id IS NULL
        ), '{}') AS missing_ids,
        coalesce(array_agg(l.bet_id ORDER BY l.bet_id) FILTER (
            WHERE b.status NOT IN (0, 1)
        ), '{}') AS voided_ids,
        count(*) FILTER (WHERE b.status = 0) > 0 AS has_unsettled,
        count(j.bet_id) > 0 AS has_rejected,
        min(b.update_time) AS oldest_state
    FROM keys AS k
    LEFT JOIN links AS l ON l.rebate_id = k.id
    LEFT JOIN staging.lucko_bets AS b ON b.agent = %(agent)s AND b.id = l.bet_id
    LEFT JOIN claimed AS c ON c.rebate_id = l.rebate_id AND c.bet_id = l.bet_id
    LEFT JOIN rejected AS j ON j.bet_id = l.bet_id
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
        n.has_unsettled,
        n.has_rejected,
        c.open_gaps,
        k.turnover - n.linked_turnover AS difference,
        recon.round_money(
            k.turnover * k.rate * 0.01, (k.rounding ->> 'places')::int, k.rounding ->> 'mode'
        ) AS expected_amount,
        recon.round_money(
            n.entitled_turnover * k.rate * 0.01, (k.rounding ->> 'places')::int, k.rounding ->> 'mode'
        ) AS entitled,
        -- A rebate that names no bet depends on no slice.
        n.linked_bets > 0 AND NOT isempty(c.open_gaps) AS not_fetched,
        -- An absent bet may lie outside of what was ever ours to read; a bet we hold may have changed in what is lost.
        (cardinality(n.missing_ids) > 0 AND (c.not_ours OR NOT isempty(c.lost_gaps)))
        OR coalesce(n.oldest_state < upper(c.lost_gaps), FALSE) AS out_of_reach
    FROM keys AS k
    INNER JOIN linked AS n ON n.id = k.id
    INNER JOIN coverage AS c ON c.could_hold = k.could_hold
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
