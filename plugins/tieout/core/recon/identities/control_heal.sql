-- Differences of a range that a complete comparison did not find again are healed.
-- Parameters: provider, agent, prefix (of the range's row keys).
UPDATE recon.integrity_breaks AS b
SET state = 'healed', changed_at = now()
WHERE
    b.provider = %(provider)s AND b.agent = %(agent)s AND b.identity = 'control_total' AND b.state <> 'healed'
    AND starts_with(b.row_key, %(prefix)s)
    AND NOT EXISTS (SELECT FROM integrity_found AS f WHERE f.identity = b.identity AND f.row_key = b.row_key)
