-- Identities of VertexPlay's bets: those that the loads changed, and those with a break that stands.
-- Parameters: agent, loads, timezone, settings (jsonb).
WITH scope AS (
    SELECT bet_key FROM staging.vertexplay_betlogs WHERE agent = %(agent)s AND load_id = any(%(loads)s::bigint[])
    UNION
    SELECT row_key FROM recon.integrity_breaks WHERE provider = 'vertexplay' AND agent = %(agent)s AND state <> 'healed'
)

INSERT INTO integrity_found (
    identity, row_key, feed, day, game_type, user_id, currency, stated, computed, sentence
)
SELECT
    'turnover_sign',
    b.bet_key,
    'betlogs',
    (b.bet_time AT TIME ZONE %(timezone)s)::date,
    b.game_code,
    b.username,
    b.currency,
    b.valid_bet_amt,
    0,
    format('Bet %%s of user %%s: validBetAmt >= 0 is broken, it is %%s.', b.bet_key, b.username, b.valid_bet_amt)
FROM scope AS s
INNER JOIN staging.vertexplay_betlogs AS b ON b.agent = %(agent)s AND b.bet_key = s.bet_key
WHERE
    b.valid_bet_amt < 0
    AND NOT recon.is_switched_off(%(settings)s::jsonb, 'turnover_sign', b.game_code)
