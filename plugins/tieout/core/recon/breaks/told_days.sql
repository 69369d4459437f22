-- The days whose statement shows verdicts, components or breaks that this run changed, before and after. A break that
-- was judged counts also where nothing of it changed: the statement shows the bets it is about.
SELECT d.day
FROM judge_changed AS c
INNER JOIN judge_verdicts AS v ON v.rebate_id = c.rebate_id
CROSS JOIN LATERAL (VALUES (v.day), (v.day_before)) AS d (day)
WHERE NOT c.only_waits AND d.day IS NOT NULL
UNION
SELECT v.day
FROM judge_breaks AS b
INNER JOIN judge_verdicts AS v ON v.rebate_id = b.rebate_id
