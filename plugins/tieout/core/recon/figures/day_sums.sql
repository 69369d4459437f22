-- The settled bets of the given days with one claim at most, added up by what became of them: unclaimed, kept in the
-- day, claimed by another day or in another currency only. A bet belongs to the day of its settle_time in the agent's
-- timezone; without one, to that of its bet_time, which never changes: each settled bet belongs to exactly one day. The
-- user is told of unclaimed bets, the activity of claimed ones. Parameters: agent, days, settings.
WITH days AS (
    SELECT
        d.day,
        d.day::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS starts,
        (d.day + 1)::timestamp AT TIME ZONE (%(settings)s::jsonb ->> 'timezone') AS ends
    FROM unnest(%(days)s::date[]) AS d (day)
),

bets AS (
    SELECT
        d.day,
        b.id AS bet_id,
        b.user_id,
        b.currency,
        b.game_id,
        b.valid_bet_turnover AS turnover,
        TRUE AS is_dated
    FROM days AS d
    INNER JOIN staging.lucko_bets AS b
        ON b.agent = %(agent)s AND b.status = 1 AND b.settle_time >= d.starts AND b.settle_time < d.ends
    UNION ALL
    SELECT
        d.day,
        b.id,
        b.user_id,
        b.currency,
        b.game_id,
        b.valid_bet_turnover,
        FALSE
    FROM days AS d
    INNER JOIN staging.lucko_bets AS b
        ON
            b.agent = %(agent)s AND b.status = 1 AND b.settle_time IS NULL
            AND b.bet_time >= d.starts AND b.bet_time < d.ends
),

-- What the successful rebates of the same days name: nearly all of it.
named AS (
    SELECT
        d.day,
        l.bet_id,
        r.activity_id,
        r.currency
    FROM unnest(%(days)s::date[]) AS d (day)
    INNER JOIN staging.lucko_rebates AS r
        ON
            r.agent = %(agent)s AND r.status <> 0
            AND r.date >= d.day::timestamp AT TIME ZONE 'UTC' AND r.date < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
    INNER JOIN staging.lucko_rebate_bets AS l ON l.agent = r.agent AND l.rebate_id = r.id
),

fates AS (
    SELECT
        b.day,
        b.currency,
        b.game_id,
        CASE WHEN n.bet_id IS NULL AND a.currency IS NULL THEN b.user_id END AS user_id,
        coalesce(n.activity_id, a.activity_id) AS activity_id,
        b.is_dated,
        CASE
            WHEN coalesce(n.currency, a.currency) IS NULL THEN 'unclaimed'
            WHEN coalesce(n.currency, a.currency) <> b.currency THEN 'other_currency'
            WHEN n.bet_id IS NULL THEN 'to_other_days'
            ELSE 'kept'
        END AS fate,
        b.turnover
    FROM bets AS b
    LEFT JOIN named AS n ON n.bet_id = b.bet_id AND n.day = b.day
    LEFT JOIN LATERAL (
        SELECT
            r.activity_id,
            r.currency
        FROM staging.lucko_rebate_bets AS l
        INNER JOIN staging.lucko_rebates AS r ON r.agent = l.agent AND r.id = l.rebate_id AND r.status <> 0
        WHERE l.agent = %(agent)s AND l.bet_id = b.bet_id AND n.bet_id IS NULL
        -- There is no more than one; said so, it is looked up, however many there are to look up.
        LIMIT 1 -- noqa: AM09
    ) AS a ON TRUE
    WHERE NOT EXISTS (SELECT FROM recon.shared_bets AS s WHERE s.agent = %(agent)s AND s.bet_id = b.bet_id)
)

INSERT INTO day_sums (day, currency, game_id, user_id, activity_id, is_dated, fate, bets, turnover)
SELECT
    day,
    currency,
    game_id,
    user_id,
    activity_id,
    is_dated,
    fate,
    count(*),
    sum(turnover)
FROM fates
GROUP BY 1, 2, 3, 4, 5, 6, 7
