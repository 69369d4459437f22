-- Whether history tells what everything was that the new loads changed: they only appended to it, and what it held
-- before was not shed. Parameters: loads.
SELECT
    NOT EXISTS (SELECT FROM ops.loads WHERE load_id = any(%(loads)s::bigint[]) AND NOT only_appended)
    AND NOT EXISTS (SELECT FROM moved_rebates WHERE is_told IS NOT TRUE)
    AND NOT EXISTS (SELECT FROM moved_bets WHERE is_told IS NOT TRUE)
