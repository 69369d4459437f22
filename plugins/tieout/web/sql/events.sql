-- The history of a break, newest first. Parameters: break_id.
SELECT
    e.state,
    e.amount,
    e.cause,
    e.actor,
    e.expires_at,
    e.happened_at,
    e.run_id,
    e.load_id,
    e.bet_id,
    e.reading_id,
    count(*) OVER () AS total
FROM recon.break_events AS e
WHERE e.break_id = %(break_id)s
ORDER BY e.event_id DESC
LIMIT 200
