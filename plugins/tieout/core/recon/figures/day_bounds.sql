-- The bounds of days in the agent's timezone, in order, and for each day its place among them and its label (its
-- midnight in UTC). Parameters: days, settings.
WITH days AS (
    SELECT
        d.day,
        d.day::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS starts,
        (d.day + 1)::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS ends
    FROM unnest(%(days)s::date[]) AS d (day)
),

bounds AS (
    SELECT
        b.bound,
        row_number() OVER (ORDER BY b.bound) AS number
    FROM (
        SELECT starts AS bound FROM days
        UNION
        SELECT ends FROM days
    ) AS b
)

SELECT
    (SELECT array_agg(bound ORDER BY bound) FROM bounds) AS bounds,
    array_agg(b.number ORDER BY d.day) AS numbers,
    array_agg(d.day::timestamp AT TIME ZONE 'UTC' ORDER BY d.day) AS labels
FROM days AS d
INNER JOIN bounds AS b ON b.bound = d.starts
