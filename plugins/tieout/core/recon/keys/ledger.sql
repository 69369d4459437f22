-- What the ledger proves of the bets feed: its slices as declared, the time the agent answers for (whole slices, as
-- they are read), what was read, and what can no longer be (older than the reach when the agent was last answered; a
-- reading that landed or is suspect is not lost, it can be loaded again). Parameters: agent.
WITH feed AS (
    SELECT
        w.width,
        w.origin,
        a.reach,
        tstzmultirange(tstzrange(
            date_bin(w.width, a.start_at + w.width - interval '1 microsecond', w.origin),
            date_bin(w.width, a.stop_at + w.width - interval '1 microsecond', w.origin)
        )) AS responsible
    FROM ops.agents AS a
    CROSS JOIN
        LATERAL (
            SELECT
                make_interval(secs => extract(EPOCH FROM a.slice_width)::double precision) AS width,
                timestamptz '2000-01-01 00:00+00' + a.slice_anchor AS origin
        ) AS w
    WHERE a.provider = 'lucko' AND a.feed = 'bets' AND a.agent = %(agent)s
),

readings AS (
    SELECT
        slice_start,
        slice_end,
        state,
        pulled_at
    FROM ops.readings
    WHERE provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s
)

INSERT INTO judge_ledger (width, origin, responsible, certified, out_of_reach)
SELECT
    f.width,
    f.origin,
    f.responsible,
    coalesce((
        SELECT range_agg(tstzrange(slice_start, slice_end)) FROM readings WHERE state = 'certified'
    ), '{}') AS certified,
    CASE
        WHEN f.reach IS NULL THEN '{}'
        ELSE coalesce((
            SELECT
                tstzmultirange(tstzrange(
                    NULL,
                    date_bin(f.width, max(pulled_at) - f.reach + f.width - interval '1 microsecond', f.origin)
                ))
            FROM ops.readings
            WHERE provider = 'lucko' AND agent = %(agent)s
            HAVING max(pulled_at) IS NOT NULL
        ), '{}') - coalesce((
            SELECT range_agg(tstzrange(slice_start, slice_end)) FROM readings WHERE state <> 'certified'
        ), '{}')
    END AS out_of_reach
FROM feed AS f
