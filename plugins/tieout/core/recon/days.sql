-- The rebates of settlement days. One that has left a day since it was judged is judged with it, so that no verdict
-- stays behind. Parameters: agent, days.
INSERT INTO judge_chosen (rebate_id)
SELECT r.id
FROM unnest(%(days)s::date[]) AS d (day)
INNER JOIN staging.lucko_rebates AS r
    ON
        r.agent = %(agent)s
        AND r.date >= d.day::timestamp AT TIME ZONE 'UTC' AND r.date < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
UNION
SELECT rebate_id FROM recon.rebates WHERE agent = %(agent)s AND day = any(%(days)s::date[])
