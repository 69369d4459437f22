-- What the ledger proves about the slices that could hold the bets of each span. Parameters: agent.
-- first_readings: every slice's first reading, and what had been read before it.
WITH first_readings AS (
    SELECT
        tstzrange(slice_start, slice_end) AS slice,
        min(pulled_at) AS pulled_at,
        range_agg(tstzrange(slice_start, slice_end)) OVER (
            ORDER BY min(pulled_at), slice_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS read_before
    FROM ops.readings
    WHERE
        provider = 'lucko' AND feed = 'bets' AND agent = %(agent)s AND state = 'certified'
        AND slice_start < (SELECT max(upper(could_hold)) FROM judge_spans)
        AND slice_end > (SELECT min(lower(could_hold)) FROM judge_spans)
    GROUP BY slice_start, slice_end
),

-- A change moves a bet to a later slice: every slice up to the latest of the first readings could hold it too.
reaching AS (
    SELECT
        spans.could_hold,
        tstzmultirange(tstzrange(
            lower(spans.could_hold),
            greatest(
                upper(spans.could_hold),
                date_bin(l.width, max(fr.pulled_at) + l.width - interval '1 microsecond', l.origin)
            )
        )) AS needed
    FROM judge_spans AS spans
    CROSS JOIN judge_ledger AS l
    LEFT JOIN first_readings AS fr
        ON fr.slice && spans.could_hold
        -- What only repeats, at whatever width, is no first reading.
        AND NOT coalesce(fr.slice * spans.could_hold <@ fr.read_before, FALSE)
    GROUP BY spans.could_hold, l.width, l.origin
)

INSERT INTO judge_coverage (could_hold, needed, open_gaps, lost_gaps, not_ours)
SELECT
    r.could_hold,
    r.needed,
    r.needed * l.responsible - l.certified - l.out_of_reach,
    (r.needed * l.responsible - l.certified) * l.out_of_reach,
    NOT tstzmultirange(r.could_hold) <@ l.responsible
FROM reaching AS r
CROSS JOIN judge_ledger AS l
