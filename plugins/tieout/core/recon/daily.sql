-- The daily tie-out of the given settlement days, replaced as a whole. Parameters: agent, run_id, days, settings.
WITH settled AS (
    SELECT
        d.day,
        b.currency,
        b.valid_bet_turnover,
        count(r.id) > 0 AS is_claimed
    FROM unnest(%(days)s::date[]) AS d (day)
    INNER JOIN staging.lucko_bets AS b
        ON
            b.agent = %(agent)s AND b.status = 1
            AND b.settle_time >= d.day::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone')
            AND b.settle_time < (d.day + 1)::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone')
    LEFT JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = b.id
    LEFT JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = l.rebate_id AND r.status <> 0
    GROUP BY d.day, b.id, b.currency, b.valid_bet_turnover
),

bets AS (
    SELECT
        day,
        currency,
        count(*) AS bets,
        sum(valid_bet_turnover) AS bet_turnover,
        count(*) FILTER (WHERE NOT is_claimed) AS unclaimed_bets,
        coalesce(sum(valid_bet_turnover) FILTER (WHERE NOT is_claimed), 0) AS unclaimed_turnover
    FROM settled
    GROUP BY day, currency
),

rebates AS (
    SELECT
        v.day,
        v.currency,
        count(*) FILTER (WHERE v.verdict <> 'failed') AS rebates,
        count(*) FILTER (WHERE v.verdict = 'failed') AS rebates_failed,
        coalesce(sum(v.turnover) FILTER (WHERE v.verdict <> 'failed'), 0) AS rebated_turnover,
        coalesce(sum(v.rebate_amount) FILTER (WHERE v.verdict <> 'failed'), 0) AS paid,
        coalesce(sum(v.expected_amount) FILTER (WHERE v.verdict <> 'failed'), 0) AS expected,
        coalesce(sum(v.entitled) FILTER (WHERE v.verdict <> 'failed'), 0) AS entitled,
        coalesce(sum(greatest(v.overpaid, 0)) FILTER (WHERE v.verdict <> 'failed'), 0) AS overpaid,
        coalesce(sum(greatest(-v.overpaid, 0)) FILTER (WHERE v.verdict <> 'failed'), 0) AS underpaid,
        count(*) FILTER (WHERE v.verdict = 'matched') AS matched,
        count(*) FILTER (WHERE v.verdict = 'pending') AS pending,
        count(*) FILTER (WHERE v.verdict = 'break') AS broken,
        count(*) FILTER (WHERE v.verdict = 'unprovable') AS unprovable
    FROM recon.rebates AS v
    WHERE v.agent = %(agent)s AND v.day = any(%(days)s::date[])
    GROUP BY 1, 2
)

INSERT INTO recon.daily (
    agent, day, currency, bets, bet_turnover, rebates, rebates_failed, rebated_turnover, paid, expected, difference,
    entitled, overpaid, underpaid, unclaimed_bets, unclaimed_turnover, matched, pending, broken, unprovable, run_id
)
SELECT
    %(agent)s, day, currency, coalesce(b.bets, 0), coalesce(b.bet_turnover, 0), coalesce(r.rebates, 0),
    coalesce(r.rebates_failed, 0), coalesce(r.rebated_turnover, 0), coalesce(r.paid, 0), coalesce(r.expected, 0),
    coalesce(r.paid, 0) - coalesce(r.expected, 0), coalesce(r.entitled, 0), coalesce(r.overpaid, 0),
    coalesce(r.underpaid, 0), coalesce(b.unclaimed_bets, 0), coalesce(b.unclaimed_turnover, 0),
    coalesce(r.matched, 0), coalesce(r.pending, 0), coalesce(r.broken, 0), coalesce(r.unprovable, 0), %(run_id)s
FROM bets AS b
FULL OUTER JOIN rebates AS r USING (day, currency)
