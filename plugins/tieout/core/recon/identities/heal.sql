-- What stood and was not found again is healed: the row is right now, or it is no more. Control totals are judged by
-- their own comparison. Parameters: provider, agent.
UPDATE recon.integrity_breaks AS b
SET state = 'healed', changed_at = now()
WHERE
    b.provider = %(provider)s AND b.agent = %(agent)s AND b.state <> 'healed' AND b.identity <> 'control_total'
    AND NOT EXISTS (SELECT FROM integrity_found AS f WHERE f.identity = b.identity AND f.row_key = b.row_key)
