-- How many rows of the reconciled agents contradict themselves, beside their tie-out.
-- Parameters: agents (those somebody may see), agent, currency, first, last.
SELECT count(*) AS integrity
FROM recon.integrity_breaks AS b
WHERE
    b.provider = 'lucko' AND b.state <> 'healed'
    AND b.agent = any(%(agents)s::text[])
    AND (%(agent)s::text IS NULL OR b.agent = %(agent)s)
    AND (%(currency)s::text IS NULL OR b.currency = %(currency)s)
    AND b.day BETWEEN %(first)s AND %(last)s
