-- The days whose figures the moved bets and rebates are in, or were.
SELECT day
FROM moved_states
UNION
SELECT claim_day
FROM moved_states
WHERE claim_day IS NOT NULL
UNION
SELECT (date AT TIME ZONE 'UTC')::date
FROM moved_rebates
