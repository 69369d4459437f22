-- Which load brought about that a known break changed: the newest change, of what its reason is about, that came after
-- the run of its last event; without any, an earlier state of a bet that was read late and is evidence now; else the
-- settings where they differ. A payment's reason is about the rebate and the one that made it before, a bet's about
-- that bet and else the rebate, turnover about all bets, by what they count. Parameters: agent, run_id, loads.
WITH happened AS (
    SELECT
        e.rebate_id,
        e.reason,
        e.since_run,
        seen.also_saw,
        this.config_fingerprint <> seen.config_fingerprint AS other_settings,
        e.cause LIKE 'overpaid is %%' AS is_money,
        e.cause = 'amount or evidence changed' AS is_of_evidence,
        e.reason IN ('amount', 'wallet_txn_missing', 'wallet_txn_reused', 'paid_twice') AS is_payment,
        e.bet_ids || old.bet_ids AS bet_ids,
        v.currency,
        v.user_id,
        e.rebate_id || CASE e.reason
            WHEN 'wallet_txn_reused' THEN ARRAY[v.wallet_first_used_by, h.wallet_first_used_by]
            WHEN 'paid_twice' THEN ARRAY[v.first_paid_by, h.first_paid_by]
            ELSE '{}'
        END AS rebate_ids
    FROM judge_breaks AS e
    INNER JOIN recon.runs AS seen ON seen.run_id = e.since_run
    INNER JOIN recon.runs AS this ON this.run_id = %(run_id)s
    INNER JOIN judge_verdicts AS v ON v.rebate_id = e.rebate_id
    INNER JOIN recon.breaks AS old ON old.agent = v.agent AND old.rebate_id = e.rebate_id AND old.reason = e.reason
    LEFT JOIN recon.rebate_history AS h
        ON h.agent = v.agent AND h.rebate_id = e.rebate_id AND h.until_run = %(run_id)s
    WHERE e.is_event
),

-- Rebates of new loads that once named a bet which was claimed before, and may have let go of it.
let_go AS (
    SELECT DISTINCT
        r.id AS rebate_id,
        named.bet_id COLLATE "C" AS bet_id
    FROM staging.lucko_rebates AS r
    INNER JOIN staging.lucko_rebate_versions AS v ON v.agent = r.agent AND v.id = r.id
    CROSS JOIN LATERAL jsonb_array_elements_text(v.txn_ids) AS named (bet_id)
    WHERE
        EXISTS (SELECT FROM happened AS h WHERE h.reason = 'reused_bet')
        AND r.agent = %(agent)s AND r.load_id = any(%(loads)s::bigint[])
        AND named.bet_id IN (SELECT unnest(h.bet_ids) FROM happened AS h WHERE h.reason = 'reused_bet')
),

about AS (
    SELECT
        h.rebate_id,
        h.reason,
        o.id AS other_id
    FROM happened AS h
    CROSS JOIN LATERAL unnest(h.rebate_ids) AS o (id)
    WHERE o.id IS NOT NULL
    UNION
    SELECT
        h.rebate_id,
        h.reason,
        n.rebate_id
    FROM happened AS h
    INNER JOIN staging.lucko_rebate_bets AS n ON n.agent = %(agent)s AND n.bet_id = any(h.bet_ids)
    WHERE h.reason = 'reused_bet'
    UNION
    SELECT
        h.rebate_id,
        h.reason,
        g.rebate_id
    FROM happened AS h
    INNER JOIN let_go AS g ON g.bet_id = any(h.bet_ids)
    WHERE h.reason = 'reused_bet'
),

rows AS (
    SELECT
        a.rebate_id,
        a.reason,
        a.other_id,
        NULL AS bet_id,
        r.load_id,
        r.create_time AS moment
    FROM about AS a
    INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = a.other_id
    UNION ALL
    SELECT
        h.rebate_id,
        h.reason,
        h.rebate_id,
        t.id,
        t.load_id,
        t.update_time
    FROM happened AS h
    INNER JOIN staging.lucko_rebate_bets AS n ON n.agent = %(agent)s AND n.rebate_id = h.rebate_id
    INNER JOIN staging.lucko_bets AS t ON t.agent = n.agent AND t.id = n.bet_id
    WHERE h.reason = 'turnover' OR h.is_money OR (NOT h.is_payment AND t.id = any(h.bet_ids))
),

-- Those that the run of the last event had not seen as they are: few of all, and only they are looked into.
unseen AS MATERIALIZED (
    SELECT
        h.rebate_id,
        h.reason,
        h.since_run,
        h.also_saw,
        h.is_money,
        h.currency,
        h.user_id,
        w.other_id,
        w.bet_id,
        w.moment
    FROM happened AS h
    INNER JOIN rows AS w ON w.rebate_id = h.rebate_id AND w.reason = h.reason
    WHERE
        NOT w.load_id = any(h.also_saw)
        AND NOT EXISTS (
            SELECT FROM recon.run_inputs AS i
            WHERE i.agent = %(agent)s AND i.load_id = w.load_id AND i.run_id <= h.since_run
        )
),

-- The newest state says something else than the last that the run of the last event had seen.
changed AS (
    SELECT
        w.rebate_id,
        w.reason,
        w.is_money,
        w.other_id,
        w.bet_id,
        w.moment,
        s.load_id
    FROM unseen AS w
    CROSS JOIN
        LATERAL (
            SELECT
                (array_agg(n.load_id ORDER BY n.pulled_at) FILTER (WHERE NOT n.is_seen AND n.says = n.says_now))[1]
                    AS load_id,
                (array_agg(n.says ORDER BY n.pulled_at DESC) FILTER (WHERE n.is_seen))[1] AS said,
                (array_agg(n.says_now))[1] AS says_now
            FROM (
                SELECT
                    v.load_id,
                    v.pulled_at,
                    v.says,
                    first_value(v.says) OVER (ORDER BY v.pulled_at DESC) AS says_now,
                    v.load_id = any(w.also_saw) OR EXISTS (
                        SELECT FROM recon.run_inputs AS i
                        WHERE i.agent = %(agent)s AND i.load_id = v.load_id AND i.run_id <= w.since_run
                    ) AS is_seen
                FROM (
                    SELECT
                        r.load_id,
                        r.pulled_at,
                        CASE
                            WHEN w.reason LIKE 'wallet%%' AND NOT w.is_money
                                THEN jsonb_build_array(r.status <> 0, nullif(r.wallet_txn_id, ''))
                            ELSE
                                jsonb_build_array(
                                    r.status <> 0, r.turnover, r.rate, r.rebate_amount, r.currency, r.user_id,
                                    r.activity_id, r.date, r.txn_ids
                                )
                        END AS says
                    FROM (
                        SELECT
                            load_id, pulled_at, status, wallet_txn_id, turnover, rate, rebate_amount, currency, user_id,
                            activity_id, date, txn_ids
                        FROM staging.lucko_rebate_versions
                        WHERE w.bet_id IS NULL AND agent = %(agent)s AND id = w.other_id
                        UNION ALL
                        SELECT
                            load_id, 'infinity', status, wallet_txn_id, turnover, rate, rebate_amount, currency,
                            user_id, activity_id, date, txn_ids
                        FROM staging.lucko_rebates
                        WHERE w.bet_id IS NULL AND agent = %(agent)s AND id = w.other_id
                    ) AS r
                    UNION ALL
                    SELECT
                        t.load_id,
                        t.pulled_at,
                        CASE
                            WHEN w.reason = 'turnover' OR w.is_money
                                THEN
                                    jsonb_build_array(
                                        CASE
                                            WHEN
                                                t.status = 1 AND t.currency = w.currency
                                                THEN t.valid_bet_turnover
                                            ELSE 0
                                        END,
                                        w.is_money AND t.user_id = w.user_id
                                    )
                            ELSE jsonb_build_array(t.status, t.user_id, t.currency, t.valid_bet_turnover)
                        END
                    FROM (
                        SELECT load_id, pulled_at, status, user_id, currency, valid_bet_turnover
                        FROM staging.lucko_bet_versions
                        WHERE agent = %(agent)s AND id = w.bet_id
                        UNION ALL
                        SELECT load_id, 'infinity', status, user_id, currency, valid_bet_turnover
                        FROM staging.lucko_bets
                        WHERE agent = %(agent)s AND id = w.bet_id
                    ) AS t
                ) AS v
            ) AS n
        ) AS s
    WHERE s.said IS DISTINCT FROM s.says_now
),

-- Loads since the oldest of the events that did not only add to histories: few, or none.
late_loads AS MATERIALIZED (
    SELECT l.load_id
    FROM (
        SELECT i.load_id
        FROM recon.run_inputs AS i
        WHERE i.agent = %(agent)s AND i.run_id > (SELECT min(since_run) FROM happened)
        UNION
        SELECT unnest(%(loads)s::bigint[])
    ) AS i
    INNER JOIN ops.loads AS l ON l.load_id = i.load_id AND NOT l.only_appended
),

late AS (
    SELECT
        h.rebate_id,
        h.reason,
        v.id AS bet_id,
        greatest(v.update_time, v.settle_time) AS moment,
        v.load_id
    FROM happened AS h
    INNER JOIN
        late_loads AS l
        ON
            NOT l.load_id = any(h.also_saw) AND NOT EXISTS (
                SELECT FROM recon.run_inputs AS i
                WHERE i.agent = %(agent)s AND i.load_id = l.load_id AND i.run_id <= h.since_run
            )
    INNER JOIN staging.lucko_rebate_bets AS n ON n.agent = %(agent)s AND n.rebate_id = h.rebate_id
    INNER JOIN staging.lucko_bet_versions AS v ON v.agent = n.agent AND v.id = n.bet_id AND v.load_id = l.load_id
    INNER JOIN staging.lucko_bets AS t ON t.agent = v.agent AND t.id = v.id AND t.last_changed_at > v.pulled_at
    WHERE h.is_of_evidence AND NOT h.is_payment
),

newest AS (
    SELECT DISTINCT ON (rebate_id, reason)
        rebate_id,
        reason,
        other_id,
        bet_id,
        moment,
        load_id,
        is_late
    FROM (
        SELECT
            rebate_id,
            reason,
            is_money,
            other_id,
            bet_id,
            moment,
            load_id,
            FALSE AS is_late
        FROM changed
        UNION ALL
        SELECT
            rebate_id,
            reason,
            FALSE,
            rebate_id,
            bet_id,
            moment,
            load_id,
            TRUE
        FROM late
    ) AS c
    ORDER BY
        rebate_id ASC, reason ASC, is_late ASC,
        reason <> 'turnover' AND NOT is_money AND bet_id IS NULL AND other_id = rebate_id,
        load_id DESC, bet_id ASC, other_id ASC
)

UPDATE judge_breaks AS e
SET
    load_id = o.load_id,
    bet_id = o.bet_id,
    reading_id = o.reading_id,
    cause = e.cause || CASE
        WHEN o.is_late
            THEN
                format(
                    '; an earlier state of bet %%s became known, read in load %%s of %%s', o.bet_id, o.load_id, o.slice
                )
        WHEN o.bet_id IS NOT NULL
            THEN format('; bet %%s changed, read in load %%s of %%s', o.bet_id, o.load_id, o.slice)
        WHEN o.other_id <> o.rebate_id
            THEN format('; rebate %%s changed, read in load %%s of %%s', o.other_id, o.load_id, o.slice)
        WHEN o.load_id IS NOT NULL THEN format('; the rebate changed, read in load %%s of %%s', o.load_id, o.slice)
        WHEN o.other_settings THEN '; the settings are others'
        ELSE ''
    END
FROM (
    SELECT
        h.rebate_id,
        h.reason,
        h.other_settings,
        n.other_id,
        n.load_id,
        n.bet_id,
        n.is_late,
        l.reading_id,
        coalesce((
            SELECT format('slice [%%s, %%s)', r.slice_start, r.slice_end)
            FROM ops.readings AS r
            WHERE r.reading_id = l.reading_id AND r.slice_start <= n.moment AND r.slice_end > n.moment
        ), 'reading ' || l.reading_id) AS slice
    FROM happened AS h
    LEFT JOIN newest AS n ON n.rebate_id = h.rebate_id AND n.reason = h.reason
    LEFT JOIN ops.loads AS l ON l.load_id = n.load_id
) AS o
WHERE e.rebate_id = o.rebate_id AND e.reason = o.reason
