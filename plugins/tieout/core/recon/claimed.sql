-- Links of the keys whose bet an earlier successful rebate of the same activity names. Parameters: agent.
WITH named AS (
    SELECT DISTINCT l.bet_id
    FROM judge_keys AS k
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.rebate_id = k.rebate_id
),

several AS (
    SELECT l.bet_id
    FROM named
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = named.bet_id
    GROUP BY l.bet_id
    HAVING count(*) > 1
),

counted AS (
    SELECT
        l.rebate_id,
        l.bet_id,
        count(*) FILTER (WHERE r.status <> 0) OVER (
            PARTITION BY r.activity_id, l.bet_id ORDER BY r.create_time, r.id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS claims_before
    FROM several AS s
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = %(agent)s AND l.bet_id = s.bet_id
    INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = l.rebate_id
)

INSERT INTO judge_claimed (rebate_id, bet_id)
SELECT
    rebate_id,
    bet_id
FROM counted
WHERE claims_before > 0
