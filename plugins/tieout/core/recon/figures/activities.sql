-- What each activity could rebate of a day's settled bets and what it did, per currency of the bets. Activities are
-- those listed and those whose rebates name a bet of the day; one that is not listed may rebate every bet.
-- Parameters: agent, run_id, days, settings.
WITH listed AS (
    SELECT
        e.key AS activity_id,
        e.value AS bets
    FROM jsonb_each(%(settings)s::jsonb -> 'activities') AS e
),

claimed AS (
    SELECT
        activity_id,
        day,
        currency,
        game_id,
        sum(bets) AS bets,
        sum(turnover) AS turnover
    FROM (
        SELECT
            activity_id,
            day,
            currency,
            game_id,
            bets,
            turnover
        FROM day_sums
        WHERE activity_id IS NOT NULL
        UNION ALL
        SELECT
            activity_id,
            bet_day,
            currency,
            game_id,
            1,
            turnover
        FROM day_claims
        WHERE is_first_of_activity AND bet_day = any(%(days)s::date[])
    ) AS c
    GROUP BY 1, 2, 3, 4
),

kinds AS (
    SELECT
        day,
        currency,
        game_id,
        sum(bets) AS bets,
        sum(turnover) AS turnover
    FROM day_sums
    GROUP BY 1, 2, 3
),

-- Per day: a day's rates must not depend on the days it is written together with.
activities AS (
    SELECT
        a.day,
        a.activity_id,
        l.bets
    FROM (
        SELECT
            day,
            activity_id
        FROM claimed
        UNION
        SELECT
            k.day,
            e.activity_id
        FROM kinds AS k
        CROSS JOIN listed AS e
    ) AS a
    LEFT JOIN listed AS l ON l.activity_id = a.activity_id
),

sums AS (
    SELECT
        a.activity_id,
        k.day,
        k.currency,
        coalesce(sum(k.bets) FILTER (WHERE e.is_eligible), 0) AS eligible_bets,
        coalesce(sum(k.turnover) FILTER (WHERE e.is_eligible), 0) AS eligible_turnover,
        coalesce(sum(c.bets) FILTER (WHERE e.is_eligible), 0) AS claimed_bets,
        coalesce(sum(c.turnover) FILTER (WHERE e.is_eligible), 0) AS claimed_turnover,
        coalesce(sum(c.bets) FILTER (WHERE NOT e.is_eligible), 0) AS ineligible_bets,
        coalesce(sum(c.turnover) FILTER (WHERE NOT e.is_eligible), 0) AS ineligible_turnover
    FROM activities AS a
    INNER JOIN kinds AS k ON k.day = a.day
    CROSS JOIN
        LATERAL (
            SELECT
                coalesce(a.bets -> 'games' ? k.game_id, TRUE)
                AND coalesce(a.bets -> 'currencies' ? k.currency, TRUE) AS is_eligible
        ) AS e
    LEFT JOIN claimed AS c
        ON c.activity_id = a.activity_id AND c.day = k.day AND c.currency = k.currency AND c.game_id = k.game_id
    GROUP BY 1, 2, 3
)

INSERT INTO recon.activity_daily (
    agent, day, currency, activity_id, eligible_bets, eligible_turnover, claimed_bets, claimed_turnover, claim_rate,
    ineligible_bets, ineligible_turnover, run_id
)
SELECT
    %(agent)s, day, currency, activity_id, eligible_bets, eligible_turnover, claimed_bets, claimed_turnover,
    round(claimed_turnover / nullif(eligible_turnover, 0), 6), ineligible_bets, ineligible_turnover, %(run_id)s
FROM sums
WHERE eligible_bets > 0 OR ineligible_bets > 0
