-- The bridge from bet turnover to rebated turnover, a row for each row of recon.daily; a check constraint makes it
-- close. A bet's first claim keeps its turnover in the day, moves it to another day or into another currency; every
-- further claim in its own currency adds it again. Over all days of a currency, what comes from other days is what
-- goes to other days. turnover_differences is the judge's own sum, so that the constraint compares two computations.
-- Parameters: agent, run_id, days.
WITH bets AS (
    SELECT
        day,
        currency,
        coalesce(sum(turnover) FILTER (WHERE fate = 'unclaimed'), 0) AS unclaimed,
        coalesce(sum(turnover) FILTER (WHERE fate = 'to_other_days'), 0) AS to_other_days,
        coalesce(sum(turnover) FILTER (WHERE fate = 'other_currency'), 0) AS other_currency,
        coalesce(sum(bets) FILTER (WHERE NOT is_dated), 0) AS undated_bets,
        coalesce(sum(turnover) FILTER (WHERE NOT is_dated), 0) AS undated_turnover
    FROM day_sums
    GROUP BY 1, 2
),

own_claims AS (
    SELECT
        rebate_day,
        currency,
        turnover,
        bet_day <> rebate_day AS is_away,
        is_first,
        is_first_of_activity
    FROM day_claims
    WHERE is_own_currency
    UNION ALL
    SELECT
        a.rebate_day,
        a.currency,
        a.turnover,
        TRUE,
        TRUE,
        TRUE
    FROM day_away AS a
    WHERE a.is_own_currency AND NOT EXISTS (SELECT FROM day_several AS s WHERE s.bet_id = a.bet_id)
),

claims AS (
    SELECT
        rebate_day AS day,
        currency,
        coalesce(sum(turnover) FILTER (WHERE is_first AND is_away), 0) AS from_other_days,
        coalesce(sum(turnover) FILTER (WHERE NOT is_first), 0) AS claimed_again,
        coalesce(sum(turnover) FILTER (WHERE NOT is_first_of_activity), 0) AS reused
    FROM own_claims
    GROUP BY 1, 2
)

INSERT INTO recon.bridge (
    agent, day, currency, bet_turnover, unclaimed, claimed_again, from_other_days, to_other_days, other_currency,
    turnover_differences, rebated_turnover, reused, undated_bets, undated_turnover, run_id
)
SELECT
    %(agent)s, d.day, d.currency, d.bet_turnover, coalesce(b.unclaimed, 0), coalesce(c.claimed_again, 0),
    coalesce(c.from_other_days, 0), coalesce(b.to_other_days, 0), coalesce(b.other_currency, 0),
    coalesce(r.turnover_differences, 0), d.rebated_turnover, coalesce(c.reused, 0), coalesce(b.undated_bets, 0),
    coalesce(b.undated_turnover, 0), %(run_id)s
FROM recon.daily AS d
LEFT JOIN bets AS b ON b.day = d.day AND b.currency = d.currency
LEFT JOIN claims AS c ON c.day = d.day AND c.currency = d.currency
LEFT JOIN day_rebates AS r ON r.day = d.day AND r.currency = d.currency
WHERE d.agent = %(agent)s AND d.day = any(%(days)s::date[])
