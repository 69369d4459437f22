-- The daily tie-out, filtered; the caller adds the order and the page.
-- Parameters: agents (those somebody may see), agent, currency, first, last.
SELECT
    d.agent,
    d.day,
    d.currency,
    d.bets,
    d.bet_turnover,
    d.rebates,
    d.rebates_failed,
    d.rebated_turnover,
    d.unclaimed_bets,
    d.unclaimed_turnover,
    d.paid,
    d.expected,
    d.difference,
    d.entitled,
    d.overpaid,
    d.underpaid,
    d.matched,
    d.broken,
    d.pending,
    d.unprovable
FROM recon.daily AS d
WHERE
    d.agent = any(%(agents)s::text[])
    AND (%(agent)s::text IS NULL OR d.agent = %(agent)s)
    AND (%(currency)s::text IS NULL OR d.currency = %(currency)s)
    AND d.day BETWEEN %(first)s AND %(last)s
