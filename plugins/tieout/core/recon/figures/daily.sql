-- The daily tie-out, from day_sums and day_rebates. Parameters: agent, run_id.
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
FULL OUTER JOIN day_rebates AS r USING (day, currency)
