-- The committed loads that no run has consumed: what is absent is new, in whatever order loads commit. Parameters:
-- agent.
INSERT INTO judge_loads (load_id)
SELECT l.load_id
FROM ops.loads AS l
WHERE
    l.provider = 'lucko' AND l.agent = %(agent)s
    AND NOT EXISTS (SELECT FROM recon.run_inputs AS i WHERE i.agent = %(agent)s AND i.load_id = l.load_id)
