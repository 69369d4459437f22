-- What the verdicts on the days' rebates add up to. It reads no temporary table: only then does PostgreSQL work on it
-- with several processes. Parameters: agent, days.
CREATE TEMP TABLE day_rebates ON COMMIT DROP AS
SELECT
    v.day,
    v.currency,
    count(*) FILTER (WHERE v.verdict <> 'failed') AS rebates,
    count(*) FILTER (WHERE v.verdict = 'failed') AS rebates_failed,
    coalesce(sum(v.turnover) FILTER (WHERE v.verdict <> 'failed'), 0) AS rebated_turnover,
    coalesce(sum(v.rebate_amount) FILTER (WHERE v.verdict <> 'failed'), 0) AS paid,
    coalesce(sum(v.expected_amount) FILTER (WHERE v.verdict <> 'failed'), 0) AS expected,
    coalesce(sum(v.entitled) FILTER (WHERE v.verdict <> 'failed'), 0) AS entitled,
    coalesce(sum(greatest(v.overpaid, 0)) FILTER (WHERE v.verdict <> 'failed'), 0) AS overpaid,
    coalesce(sum(greatest(-v.overpaid, 0)) FILTER (WHERE v.verdict <> 'failed'), 0) AS underpaid,
    coalesce(sum(v.difference) FILTER (WHERE v.verdict <> 'failed'), 0) AS turnover_differences,
    count(*) FILTER (WHERE v.verdict = 'matched') AS matched,
    count(*) FILTER (WHERE v.verdict = 'pending') AS pending,
    count(*) FILTER (WHERE v.verdict = 'break') AS broken,
    count(*) FILTER (WHERE v.verdict = 'unprovable') AS unprovable
FROM recon.rebates AS v
WHERE v.agent = %(agent)s AND v.day = any(%(days)s::date[])
GROUP BY 1, 2
