-- Which load brought about that a known break changed: the newest state, among the rebate and the bets it names, that
-- the run which last wrote the break had not seen; without any, the settings where they differ. Parameters: agent,
-- run_id.
UPDATE judge_breaks AS e
SET
    load_id = o.load_id,
    bet_id = o.bet_id,
    reading_id = o.reading_id,
    cause = e.cause || CASE
        WHEN o.bet_id IS NOT NULL
            THEN format('; bet %%s changed, read in load %%s of %%s', o.bet_id, o.load_id, o.slice)
        WHEN o.load_id IS NOT NULL THEN format('; the rebate changed, read in load %%s of %%s', o.load_id, o.slice)
        WHEN o.other_settings THEN '; the settings are others'
        ELSE ''
    END
FROM (
    SELECT
        b.rebate_id,
        b.reason,
        newest.load_id,
        newest.bet_id,
        l.reading_id,
        coalesce((
            SELECT format('slice [%%s, %%s)', r.slice_start, r.slice_end)
            FROM ops.readings AS r
            WHERE r.reading_id = l.reading_id AND r.slice_start <= newest.moment AND r.slice_end > newest.moment
        ), 'reading ' || l.reading_id) AS slice,
        this.config_fingerprint <> seen.config_fingerprint AS other_settings
    FROM judge_breaks AS b
    INNER JOIN recon.runs AS seen ON seen.run_id = b.since_run
    INNER JOIN recon.runs AS this ON this.run_id = %(run_id)s
    LEFT JOIN LATERAL (
        SELECT
            c.load_id,
            c.bet_id,
            c.moment
        FROM (
            SELECT
                r.load_id,
                NULL AS bet_id,
                r.create_time AS moment
            FROM staging.lucko_rebates AS r
            WHERE r.agent = %(agent)s AND r.id = b.rebate_id
            UNION ALL
            SELECT
                t.load_id,
                t.id,
                t.update_time
            FROM staging.lucko_rebate_bets AS n
            INNER JOIN staging.lucko_bets AS t ON t.agent = n.agent AND t.id = n.bet_id
            WHERE n.agent = %(agent)s AND n.rebate_id = b.rebate_id
        ) AS c
        WHERE
            NOT c.load_id = any(seen.also_saw)
            AND NOT EXISTS (
                SELECT FROM recon.run_inputs AS i
                WHERE i.agent = %(agent)s AND i.load_id = c.load_id AND i.run_id <= b.since_run
            )
        ORDER BY c.load_id DESC, c.bet_id ASC
        LIMIT 1
    ) AS newest ON TRUE
    LEFT JOIN ops.loads AS l ON l.load_id = newest.load_id
    WHERE b.is_event AND b.since_run IS NOT NULL
) AS o
WHERE e.rebate_id = o.rebate_id AND e.reason = o.reason
