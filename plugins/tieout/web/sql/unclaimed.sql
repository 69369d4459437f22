-- Unclaimed turnover of one agent by user and day, filtered; the caller adds the order and the page.
-- Parameters: agents (those somebody may see), agent, first, last, currency, user_id.
SELECT
    u.day,
    u.agent,
    u.user_id,
    u.currency,
    u.bets,
    u.turnover,
    u.eligible_bets,
    u.eligible_turnover
FROM recon.unclaimed AS u
WHERE
    u.agent = %(agent)s AND u.agent = any(%(agents)s::text[])
    AND u.day BETWEEN %(first)s AND %(last)s
    AND (%(currency)s::text IS NULL OR u.currency = %(currency)s)
    AND (%(user_id)s::text IS NULL OR u.user_id = %(user_id)s)
