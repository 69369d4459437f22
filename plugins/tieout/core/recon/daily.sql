-- The daily tie-out of the given settlement days, from day_sums. Parameters: agent, run_id, days.
WITH bets AS (
    SELECT
        day,
        currency,
        sum(bets) AS bets,
        sum(turnover) AS bet_turnover,
        coalesce(sum(bets) FILTER (WHERE fate = 'unclaimed'), 0) AS unclaimed_bets,
        coalesce(sum(turnover) FILTER (WHERE fate = 'unclaimed'), 0) AS unclaimed_turnover
    FROM day_sums
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
