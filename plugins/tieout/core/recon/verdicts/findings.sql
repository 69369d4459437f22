-- What is special about the bets of each key that names such bets, as lists of ids and sums. Parameters: settings
-- (jsonb).
WITH judged AS (
    SELECT
        o.*,
        coalesce(o.status NOT IN (0, 1), FALSE) AS is_void,
        o.is_known AND NOT (o.is_own_user AND o.is_own_currency) AS is_foreign,
        o.is_claimed OR o.is_repeated AS is_reused,
        coalesce(o.status = 0, FALSE) AS is_unsettled,
        o.bet_time + w.wait AS overdue_at,
        j.slices AS rejecting,
        s.still_open,
        s.lost,
        -- Proven by the certificates alone: whatever settled it in time would have been read.
        coalesce(o.status = 0 AND NOT o.is_rejected AND isempty(s.unread), FALSE) AS is_overdue,
        -- Nothing is left to be read in which it could settle in time, and not all of it was read.
        coalesce(
            o.status = 0 AND NOT o.is_rejected AND NOT isempty(s.unread) AND isempty(s.still_open), FALSE
        ) AS is_never_told
    FROM judge_odd AS o
    CROSS JOIN judge_ledger AS l
    LEFT JOIN judge_rejected AS j ON o.is_rejected AND j.bet_id = o.bet_id
    CROSS JOIN
        LATERAL (
            SELECT make_interval(secs => (%(settings)s::jsonb ->> 'unsettled_after_seconds')::int) AS wait
        ) AS w
    -- The slices in which it may have settled: those not read, and of these what can still be and what was lost.
    LEFT JOIN LATERAL (
        SELECT
            g.unread,
            g.unread * l.responsible - l.out_of_reach AS still_open,
            g.unread * l.responsible * l.out_of_reach AS lost
        FROM (
            SELECT
                tstzmultirange(
                    tstzrange(least(o.update_time, o.bet_time + w.wait), o.bet_time + w.wait)
                ) - l.certified AS unread
        ) AS g
    ) AS s ON o.status = 0
)

INSERT INTO judge_findings (
    rebate_id, missing_ids, voided_ids, foreign_ids, reused_ids, unsettled_ids, has_unsettled, has_rejected,
    unentitled_turnover, voided_turnover, foreign_turnover, reused_turnover, unsettled_stake, recheck_at, is_never_told,
    awaited, lost
)
SELECT
    rebate_id,
    coalesce(array_agg(bet_id ORDER BY bet_id) FILTER (WHERE NOT is_known AND NOT is_rejected), '{}'),
    coalesce(array_agg(bet_id ORDER BY bet_id) FILTER (WHERE is_void), '{}'),
    coalesce(array_agg(bet_id ORDER BY bet_id) FILTER (WHERE is_foreign), '{}'),
    coalesce(array_agg(bet_id ORDER BY bet_id) FILTER (WHERE is_reused), '{}'),
    coalesce(array_agg(bet_id ORDER BY bet_id) FILTER (WHERE is_overdue), '{}'),
    -- One in another currency is in no sum, however it settles.
    bool_or(is_unsettled AND is_own_currency AND NOT is_never_told),
    bool_or(is_rejected),
    coalesce(sum(now_counted) FILTER (WHERE is_claimed OR NOT is_own_user), 0),
    coalesce(
        sum(coalesce(last_settled, nullif(turnover, 0), bet_amount)) FILTER (WHERE is_void AND is_own_currency), 0
    ),
    coalesce(sum(now_counted) FILTER (WHERE is_foreign), 0),
    coalesce(sum(now_counted) FILTER (WHERE is_reused), 0),
    coalesce(sum(bet_amount) FILTER (WHERE is_overdue AND is_own_currency), 0),
    min(overdue_at) FILTER (WHERE is_unsettled AND NOT is_overdue),
    bool_or(is_never_told AND is_own_currency),
    coalesce(range_agg(still_open) FILTER (WHERE is_unsettled AND is_own_currency), '{}')
    + coalesce(range_agg(rejecting), '{}'),
    coalesce(range_agg(lost) FILTER (WHERE is_never_told AND is_own_currency), '{}')
FROM judged
GROUP BY rebate_id
