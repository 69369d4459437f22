-- What many keys have in common: their settlement day as they name it and as it is, currency, and range of slices.
CREATE TEMP TABLE judge_groups ON COMMIT DROP AS
SELECT DISTINCT
    day,
    label,
    day_start,
    day_end,
    currency,
    could_hold
FROM judge_keys
