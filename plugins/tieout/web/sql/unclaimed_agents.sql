-- Unclaimed turnover by agent and currency over some days; the caller adds the order and the page.
-- Parameters: agents (those somebody may see), first, last, currency.
SELECT
    s.agent,
    s.currency,
    s.days,
    s.bets,
    s.turnover,
    s.bet_turnover,
    s.turnover / nullif(s.bet_turnover, 0) AS share,
    %(first)s::date AS first,
    %(last)s::date AS last
FROM (
    SELECT
        d.agent,
        d.currency,
        count(*) AS days,
        sum(d.unclaimed_bets)::bigint AS bets,
        sum(d.unclaimed_turnover) AS turnover,
        sum(d.bet_turnover) AS bet_turnover
    FROM recon.daily AS d
    WHERE
        d.agent = any(%(agents)s::text[])
        AND d.day BETWEEN %(first)s AND %(last)s
        AND (%(currency)s::text IS NULL OR d.currency = %(currency)s)
    GROUP BY d.agent, d.currency
) AS s
WHERE s.bets > 0
