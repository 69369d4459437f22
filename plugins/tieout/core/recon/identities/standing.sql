-- What was found becomes what stands; only a change is written. Parameters: provider, agent.
INSERT INTO recon.integrity_breaks AS b (
    provider, agent, identity, row_key, feed, day, game_type, user_id, currency, stated, computed, difference,
    sentence, state, opened_at, changed_at
)
SELECT
    %(provider)s, %(agent)s, f.identity, f.row_key, f.feed, f.day, f.game_type, f.user_id, f.currency, f.stated,
    f.computed, f.stated - f.computed, f.sentence, 'open', now(), now()
FROM integrity_found AS f
ON CONFLICT (provider, agent, identity, row_key) DO UPDATE SET
    day = excluded.day, game_type = excluded.game_type, user_id = excluded.user_id, currency = excluded.currency,
    stated = excluded.stated, computed = excluded.computed, difference = excluded.difference,
    sentence = excluded.sentence, changed_at = excluded.changed_at,
    state = CASE b.state WHEN 'healed' THEN 'reopened' ELSE b.state END
WHERE
b.state = 'healed'
OR (b.day, b.game_type, b.user_id, b.currency, b.stated, b.computed, b.sentence)
IS DISTINCT FROM (
    excluded.day, excluded.game_type, excluded.user_id, excluded.currency, excluded.stated, excluded.computed,
    excluded.sentence
)
