-- The settlement timezone that is declared for an agent. Parameters: provider, agent.
SELECT c.reconciliation ->> 'timezone' AS settlement_zone
FROM ops.config AS c
WHERE c.provider = %(provider)s AND c.agent = %(agent)s
