-- Ranges of slices about which the ledger may say something else than when their rebates were judged: those with gaps,
-- and those that a new load's reading meets. Parameters: agent.
INSERT INTO judge_spans (could_hold)
SELECT c.could_hold
FROM recon.coverage AS c
WHERE
    c.agent = %(agent)s
    AND (
        NOT isempty(c.open_gaps) OR NOT isempty(c.lost_gaps)
        OR EXISTS (
            SELECT
            FROM judge_loads AS n
            INNER JOIN ops.loads AS l ON l.load_id = n.load_id AND l.feed = 'bets'
            INNER JOIN ops.readings AS r ON r.reading_id = l.reading_id
            WHERE tstzrange(r.slice_start, r.slice_end) && c.needed
        )
    )
