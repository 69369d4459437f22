-- Of the given days those whose stored sums hold all that was consumed and nothing of the new loads: what these moved
-- is what they lack. A run in full takes in what it sees and consumes nothing. Parameters: agent, days, loads.
SELECT s.day
FROM (
    SELECT
        day,
        max(run_id) AS run_id
    FROM recon.day_sums
    WHERE agent = %(agent)s AND day = any(%(days)s::date[])
    GROUP BY day
) AS s
INNER JOIN recon.runs AS r ON r.run_id = s.run_id AND NOT r.also_saw && %(loads)s::bigint[]
