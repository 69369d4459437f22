-- The keys among judge_repeats_all.
INSERT INTO judge_repeats (rebate_id, wallet_first_used_by, first_paid_by)
SELECT
    k.rebate_id,
    r.wallet_first_used_by,
    r.first_paid_by
FROM judge_repeats_all AS r
INNER JOIN judge_keys AS k ON k.rebate_id = r.rebate_id
