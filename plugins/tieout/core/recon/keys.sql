-- The rebates to judge: those of the given settlement days. One that has left a day since it was judged is judged
-- with it, so that no verdict stays behind. Parameters: agent, days, settings (jsonb).
WITH keys AS (
    SELECT r.id
    FROM unnest(%(days)s::date[]) AS d (day)
    INNER JOIN staging.lucko_rebates AS r
        ON
            r.agent = %(agent)s
            AND r.date >= d.day::timestamp AT TIME ZONE 'UTC' AND r.date < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
    UNION
    SELECT rebate_id FROM recon.rebates WHERE agent = %(agent)s AND day = any(%(days)s::date[])
),

feed AS (
    SELECT
        make_interval(secs => extract(EPOCH FROM slice_width)::double precision) AS width,
        timestamptz '2000-01-01 00:00+00' + slice_anchor AS origin,
        %(settings)s::jsonb ->> 'timezone' AS timezone,
        make_interval(secs => (%(settings)s::jsonb ->> 'bet_lookback_seconds')::int) AS bet_lookback
    FROM ops.agents
    WHERE provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s
)

-- could_hold: the slices that meet [settlement day's start - lookback, create_time + 1 h].
INSERT INTO judge_keys (rebate_id, day, could_hold)
SELECT
    r.id,
    d.day,
    tstzrange(
        date_bin(f.width, least(d.day::timestamp AT TIME ZONE f.timezone - f.bet_lookback, r.create_time), f.origin),
        date_bin(f.width, r.create_time + interval '1 hour', f.origin) + f.width
    )
FROM keys AS k
INNER JOIN staging.lucko_rebates AS r ON r.agent = %(agent)s AND r.id = k.id
-- The date is a label: the UTC day of its midnight, whatever the agent's timezone.
CROSS JOIN LATERAL (SELECT (r.date AT TIME ZONE 'UTC')::date AS day) AS d
CROSS JOIN feed AS f
