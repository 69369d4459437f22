-- The daily tie-out summed over agents, by currency and day. Parameters: agents, agent, currency, first, last.
SELECT
    d.currency,
    d.day,
    count(*) AS lines,
    sum(d.bet_turnover) AS bet_turnover,
    sum(d.rebated_turnover) AS rebated_turnover,
    sum(d.unclaimed_turnover) AS unclaimed_turnover,
    sum(d.paid) AS paid,
    sum(d.difference) AS difference,
    sum(d.overpaid) AS overpaid,
    sum(d.underpaid) AS underpaid,
    sum(d.rebates)::bigint AS rebates,
    sum(d.matched)::bigint AS matched,
    sum(d.broken)::bigint AS broken,
    sum(d.pending)::bigint AS pending,
    sum(d.unprovable)::bigint AS unprovable
FROM recon.daily AS d
WHERE
    d.agent = any(%(agents)s::text[])
    AND (%(agent)s::text IS NULL OR d.agent = %(agent)s)
    AND (%(currency)s::text IS NULL OR d.currency = %(currency)s)
    AND d.day BETWEEN %(first)s AND %(last)s
GROUP BY d.currency, d.day
ORDER BY d.currency, d.day
