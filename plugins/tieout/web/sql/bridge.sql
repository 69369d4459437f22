-- How a day's bet turnover becomes its rebated turnover, with its tie-out. Parameters: agent, day, currency.
SELECT
    b.*,
    d.paid,
    d.expected,
    d.difference,
    d.entitled,
    d.overpaid,
    d.underpaid,
    d.bets,
    d.rebates,
    d.rebates_failed,
    d.matched,
    d.broken,
    d.pending,
    d.unprovable,
    r.started_at AS judged_at
FROM recon.bridge AS b
INNER JOIN recon.daily AS d ON d.agent = b.agent AND d.day = b.day AND d.currency = b.currency
INNER JOIN recon.runs AS r ON r.run_id = d.run_id
WHERE b.agent = %(agent)s AND b.day = %(day)s AND b.currency = %(currency)s
