-- The ranges of slices that could hold the bets of the keys.
INSERT INTO judge_spans (could_hold)
SELECT DISTINCT could_hold FROM judge_groups
