-- The chosen rebates (judge_chosen, see judge.py) as they stand, with the slices that could hold their bets: those that
-- meet [settlement day's start - lookback, create_time + 1 h]. Parameters: agent, settings (jsonb).
CREATE TEMP TABLE judge_keys ON COMMIT DROP AS
WITH feed AS (
    SELECT
        make_interval(secs => extract(EPOCH FROM slice_width)::double precision) AS width,
        timestamptz '2000-01-01 00:00+00' + slice_anchor AS origin,
        %(settings)s::jsonb ->> 'timezone' AS timezone,
        make_interval(secs => (%(settings)s::jsonb ->> 'bet_lookback_seconds')::int) AS bet_lookback
    FROM ops.agents
    WHERE provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s
)

SELECT
    r.agent,
    r.id AS rebate_id,
    r.activity_id,
    r.user_id,
    r.currency,
    r.date AS label,
    r.turnover,
    r.rate,
    r.rebate_amount,
    nullif(r.wallet_txn_id, '') AS wallet_txn_id,
    r.status,
    r.create_time,
    d.day,
    d.day::timestamp AT TIME ZONE f.timezone AS day_start,
    (d.day + 1)::timestamp AT TIME ZONE f.timezone AS day_end,
    tstzrange(
        date_bin(f.width, least(d.day::timestamp AT TIME ZONE f.timezone - f.bet_lookback, r.create_time), f.origin),
        date_bin(f.width, r.create_time + interval '1 hour', f.origin) + f.width
    ) AS could_hold
FROM judge_chosen AS r
-- The date is a label: the UTC day of its midnight, whatever the agent's timezone.
CROSS JOIN LATERAL (SELECT (r.date AT TIME ZONE 'UTC')::date AS day) AS d
CROSS JOIN feed AS f
