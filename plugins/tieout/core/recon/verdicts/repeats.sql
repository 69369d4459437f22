-- Keys whose wallet transaction or payment (activity, user, date, currency and the same set of bets) an earlier
-- successful rebate has: which one was the first. It reads the chosen rebates themselves: of whole days they are in no
-- temporary table, and only then does PostgreSQL work on them with several processes.
CREATE TEMP TABLE judge_repeats ON COMMIT DROP AS
WITH wallets AS (
    SELECT
        k.id AS rebate_id,
        (array_agg(o.id ORDER BY o.create_time, o.id))[1] AS first_id
    FROM judge_chosen AS k
    INNER JOIN staging.lucko_rebates AS o
        ON
            o.agent = k.agent AND o.wallet_txn_id = k.wallet_txn_id AND o.wallet_txn_id <> '' AND o.status <> 0
            AND (o.create_time, o.id) < (k.create_time, k.id)
    GROUP BY k.id
),

-- Equal in all but the bets, which only these few are compared by.
alike AS (
    SELECT
        k.agent,
        k.id AS rebate_id,
        o.id AS other_id,
        o.create_time
    FROM judge_chosen AS k
    INNER JOIN staging.lucko_rebates AS o
        ON
            o.agent = k.agent AND o.date = k.date AND o.user_id = k.user_id AND o.status <> 0
            AND o.activity_id = k.activity_id AND o.currency = k.currency
            AND (o.create_time, o.id) < (k.create_time, k.id)
),

payments AS (
    SELECT
        a.rebate_id,
        (array_agg(a.other_id ORDER BY a.create_time, a.other_id))[1] AS first_id
    FROM alike AS a
    CROSS JOIN
        LATERAL (
            SELECT array_agg(l.bet_id ORDER BY l.bet_id) AS bet_ids
            FROM staging.lucko_rebate_bets AS l
            WHERE l.agent = a.agent AND l.rebate_id = a.rebate_id
        ) AS mine
    CROSS JOIN
        LATERAL (
            SELECT array_agg(l.bet_id ORDER BY l.bet_id) AS bet_ids
            FROM staging.lucko_rebate_bets AS l
            WHERE l.agent = a.agent AND l.rebate_id = a.other_id
        ) AS theirs
    -- Two rebates that name no bet have the same set of bets.
    WHERE mine.bet_ids IS NOT DISTINCT FROM theirs.bet_ids
    GROUP BY a.rebate_id
)

SELECT
    rebate_id,
    w.first_id AS wallet_first_used_by,
    p.first_id AS first_paid_by
FROM wallets AS w
FULL OUTER JOIN payments AS p USING (rebate_id)
