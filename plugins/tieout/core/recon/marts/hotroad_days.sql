-- Days of the hours that the loads changed. Parameters: agent, loads, timezone.
SELECT DISTINCT (hour_start AT TIME ZONE %(timezone)s)::date
FROM staging.hotroad_summary
WHERE agent = %(agent)s AND load_id = any(%(loads)s::bigint[])
