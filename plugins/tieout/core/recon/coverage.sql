-- What the ledger proves about the slices that could hold the keys' bets. Parameters: agent.
-- feed: its slices as declared, and the time the agent answers for (whole slices, as they are read).
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
),

-- What the ledger proves: what was read, and what can no longer be (older than the reach when the agent was last
-- answered; a reading that landed or is suspect is not lost, it can be loaded again).
ledger AS MATERIALIZED (
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
),

-- Every slice's first reading, and what had been read before it.
first_readings AS (
    SELECT
        tstzrange(slice_start, slice_end) AS slice,
        min(pulled_at) AS pulled_at,
        range_agg(tstzrange(slice_start, slice_end)) OVER (
            ORDER BY min(pulled_at), slice_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS read_before
    FROM readings
    WHERE
        state = 'certified'
        AND slice_start < (SELECT max(upper(could_hold)) FROM judge_keys)
        AND slice_end > (SELECT min(lower(could_hold)) FROM judge_keys)
    GROUP BY slice_start, slice_end
),

-- A change moves a bet to a later slice: every slice up to the latest of the first readings could hold it too.
coverage AS (
    SELECT
        spans.could_hold,
        tstzmultirange(tstzrange(
            lower(spans.could_hold),
            greatest(
                upper(spans.could_hold),
                date_bin(l.width, max(fr.pulled_at) + l.width - interval '1 microsecond', l.origin)
            )
        )) * l.responsible - l.certified AS gaps,
        NOT tstzmultirange(spans.could_hold) <@ l.responsible AS not_ours,
        l.out_of_reach
    FROM (SELECT DISTINCT could_hold FROM judge_keys) AS spans
    CROSS JOIN ledger AS l
    LEFT JOIN first_readings AS fr
        ON fr.slice && spans.could_hold
        -- What only repeats, at whatever width, is no first reading.
        AND NOT coalesce(fr.slice * spans.could_hold <@ fr.read_before, FALSE)
    GROUP BY spans.could_hold, l.width, l.origin, l.responsible, l.certified, l.out_of_reach
)

INSERT INTO judge_coverage (could_hold, open_gaps, lost_gaps, not_ours)
SELECT
    could_hold,
    gaps - out_of_reach,
    gaps * out_of_reach,
    not_ours
FROM coverage
