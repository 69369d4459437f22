-- Report dates that the loads changed. Parameters: agent, loads.
SELECT DISTINCT report_date
FROM staging.jdb_daily
WHERE agent = %(agent)s AND load_id = any(%(loads)s::bigint[])
