-- What activities could rebate and did, filtered; the caller adds the order and the page.
-- Parameters: agents (those somebody may see), agent, first, last, currency, activity_id.
SELECT
    a.day,
    a.agent,
    a.activity_id,
    a.currency,
    a.eligible_bets,
    a.eligible_turnover,
    a.eligible_turnover / nullif(d.bet_turnover, 0) AS eligibility,
    a.claimed_bets,
    a.claimed_turnover,
    a.claim_rate,
    a.ineligible_bets,
    a.ineligible_turnover
FROM recon.activity_daily AS a
LEFT JOIN recon.daily AS d ON d.agent = a.agent AND d.day = a.day AND d.currency = a.currency
WHERE
    a.agent = any(%(agents)s::text[])
    AND (%(agent)s::text IS NULL OR a.agent = %(agent)s)
    AND a.day BETWEEN %(first)s AND %(last)s
    AND (%(currency)s::text IS NULL OR a.currency = %(currency)s)
    AND (%(activity_id)s::text IS NULL OR a.activity_id = %(activity_id)s)
