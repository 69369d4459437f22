-- What the ledger proves now of each range that was judged. Parameters: agent.
INSERT INTO recon.coverage AS c (agent, could_hold, needed, open_gaps, lost_gaps, not_ours)
SELECT
    %(agent)s,
    could_hold,
    needed,
    open_gaps,
    lost_gaps,
    not_ours
FROM judge_coverage
ON CONFLICT (agent, could_hold) DO UPDATE
    SET
        needed = excluded.needed, open_gaps = excluded.open_gaps, lost_gaps = excluded.lost_gaps,
        not_ours = excluded.not_ours
    WHERE (c.needed, c.open_gaps, c.lost_gaps, c.not_ours)
    IS DISTINCT FROM (excluded.needed, excluded.open_gaps, excluded.lost_gaps, excluded.not_ours)
