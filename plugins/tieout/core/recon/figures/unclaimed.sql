-- Settled turnover that no successful rebate names, per user, day and currency; eligible is the part that some listed
-- activity would have rebated (everything, when none is listed). Parameters: agent, run_id, settings.
WITH activities AS (
    SELECT e.value AS bets
    FROM jsonb_each(%(settings)s::jsonb -> 'activities') AS e
),

kinds AS (
    SELECT
        k.game_id,
        k.currency,
        NOT EXISTS (SELECT FROM activities) OR EXISTS (
            SELECT FROM activities AS a
            WHERE
                coalesce(a.bets -> 'games' ? k.game_id, TRUE)
                AND coalesce(a.bets -> 'currencies' ? k.currency, TRUE)
        ) AS is_eligible
    FROM (SELECT DISTINCT game_id, currency FROM day_sums) AS k
)

INSERT INTO recon.unclaimed (agent, day, currency, user_id, bets, turnover, eligible_bets, eligible_turnover, run_id)
SELECT
    %(agent)s,
    b.day,
    b.currency,
    b.user_id,
    sum(b.bets),
    sum(b.turnover),
    coalesce(sum(b.bets) FILTER (WHERE k.is_eligible), 0),
    coalesce(sum(b.turnover) FILTER (WHERE k.is_eligible), 0),
    %(run_id)s
FROM day_sums AS b
INNER JOIN kinds AS k ON k.game_id = b.game_id AND k.currency = b.currency
WHERE b.fate = 'unclaimed'
GROUP BY b.day, b.currency, b.user_id
