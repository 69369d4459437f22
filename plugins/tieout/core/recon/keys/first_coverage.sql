-- What the ledger proves of ranges that were never judged before. Parameters: agent.
INSERT INTO recon.coverage (agent, could_hold, needed, open_gaps, lost_gaps, not_ours)
SELECT
    %(agent)s,
    could_hold,
    needed,
    open_gaps,
    lost_gaps,
    not_ours
FROM judge_coverage
ON CONFLICT (agent, could_hold) DO NOTHING
