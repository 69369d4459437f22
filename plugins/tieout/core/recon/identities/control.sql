-- A range's control total against the sum of its slices as staged, per game and figure; an amount that is absent
-- counts as nothing. Parameters: agent, starts, ends, rows (JSON array of the control's figures).
WITH control AS (
    SELECT
        r.game_type COLLATE "C" AS game_type,
        r.game_code COLLATE "C" AS game_code,
        r.figure,
        sum(r.amount) AS amount
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (game_type text, game_code text, figure text, amount numeric)
    GROUP BY 1, 2, 3
),

hours AS (
    SELECT
        s.game_type,
        s.game_code,
        f.figure,
        coalesce(sum(f.amount), 0) AS amount
    FROM staging.hotroad_summary AS s
    CROSS JOIN
        LATERAL (
            VALUES
            ('bet_amount', s.bet_amount), ('real_credit', s.real_credit), ('free_credit', s.free_credit),
            ('promotion_credit', s.promotion_credit), ('win_loss', s.win_loss), ('win_amount', s.win_amount),
            ('valid_bet', s.valid_bet), ('commission', s.commission)
        ) AS f (figure, amount)
    WHERE
        s.agent = %(agent)s AND s.retired_at IS NULL
        AND s.hour_start >= %(starts)s AND s.hour_start < %(ends)s
    GROUP BY 1, 2, 3
)

SELECT
    game_type,
    game_code,
    figure,
    coalesce(c.amount, 0) AS stated,
    coalesce(h.amount, 0) AS computed
FROM control AS c
FULL OUTER JOIN hours AS h USING (game_type, game_code, figure)
ORDER BY game_type, game_code, figure
