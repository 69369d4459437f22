-- What the differences of broken rebates are made of. Facts first, unconditional: what a bet counted when the rebate
-- was made and counts no longer. Then candidates in the order (kind, bet id), each only if less remains with it than
-- without: bets void already then, foreign bets. What is left belongs to missing bets, or is unexplained.
WITH subject AS (
    SELECT
        agent,
        rebate_id,
        difference,
        missing_ids
    FROM judge_verdicts
    WHERE verdict = 'break'
),

facts AS (
    SELECT
        o.rebate_id,
        CASE WHEN o.status NOT IN (0, 1) THEN 'voided' ELSE 'restated' END AS kind,
        o.bet_id,
        o.then_counted - o.now_counted AS amount
    FROM subject AS s
    INNER JOIN judge_odd AS o ON o.rebate_id = s.rebate_id
    WHERE o.then_known AND o.then_counted <> o.now_counted
),

wholes AS (
    SELECT
        s.rebate_id,
        s.difference - coalesce(sum(f.amount), 0) AS whole
    FROM subject AS s
    LEFT JOIN facts AS f ON f.rebate_id = s.rebate_id
    GROUP BY s.rebate_id, s.difference
),

candidates AS (
    SELECT
        o.rebate_id,
        1 AS turn,
        'voided' AS kind,
        o.bet_id,
        coalesce(o.last_settled, nullif(o.turnover, 0), o.bet_amount) AS amount
    FROM judge_odd AS o
    WHERE
        o.status NOT IN (0, 1) AND o.is_own_currency
        AND NOT EXISTS (SELECT FROM facts AS f WHERE f.rebate_id = o.rebate_id AND f.bet_id = o.bet_id)
    UNION ALL
    -- Another user's bet is in the sum and was perhaps left out; one in another currency is not and perhaps was put in.
    SELECT
        o.rebate_id,
        2,
        'foreign',
        o.bet_id,
        CASE WHEN o.is_own_currency THEN -o.turnover ELSE o.turnover END
    FROM judge_odd AS o
    WHERE o.status = 1 AND NOT (o.is_own_user AND o.is_own_currency)
),

tried AS (
    SELECT
        c.rebate_id,
        c.kind,
        c.bet_id,
        c.amount,
        w.whole,
        c.turn,
        recon.remainder(w.whole, c.amount) OVER (
            PARTITION BY c.rebate_id ORDER BY c.turn, c.bet_id ROWS UNBOUNDED PRECEDING
        ) AS remainder
    FROM candidates AS c
    INNER JOIN wholes AS w ON w.rebate_id = c.rebate_id
),

compared AS (
    SELECT
        *,
        remainder <> lag(remainder, 1, whole) OVER (PARTITION BY rebate_id ORDER BY turn, bet_id) AS is_taken
    FROM tried
),

taken AS (
    SELECT
        rebate_id,
        kind,
        bet_id,
        amount
    FROM compared
    WHERE is_taken
),

remainders AS (
    SELECT
        w.rebate_id,
        w.whole - coalesce(sum(t.amount), 0) AS amount
    FROM wholes AS w
    LEFT JOIN taken AS t ON t.rebate_id = w.rebate_id
    GROUP BY w.rebate_id, w.whole
),

of_difference AS (
    SELECT
        rebate_id,
        kind,
        bet_id,
        amount,
        'observed' AS evidence,
        TRUE AS is_fact
    FROM facts
    UNION ALL
    SELECT
        rebate_id,
        kind,
        bet_id,
        amount,
        'presumed',
        FALSE
    FROM taken
    UNION ALL
    SELECT
        s.rebate_id,
        CASE WHEN cardinality(s.missing_ids) > 0 THEN 'missing' ELSE 'unexplained' END,
        CASE WHEN cardinality(s.missing_ids) = 1 THEN s.missing_ids[1] ELSE '' END,
        r.amount,
        CASE WHEN cardinality(s.missing_ids) > 0 THEN 'presumed' ELSE 'none' END,
        FALSE
    FROM remainders AS r
    INNER JOIN subject AS s ON s.rebate_id = r.rebate_id
    WHERE r.amount <> 0
),

-- Beyond the difference, turnover entitles to nothing where it is another user's or was claimed before.
of_entitlement AS (
    SELECT
        rebate_id,
        kind,
        bet_id,
        amount,
        evidence,
        is_fact
    FROM of_difference
    UNION ALL
    SELECT
        o.rebate_id,
        CASE WHEN o.is_own_user THEN 'reused' ELSE 'foreign' END,
        o.bet_id,
        o.now_counted,
        'observed',
        TRUE
    FROM subject AS s
    INNER JOIN judge_odd AS o ON o.rebate_id = s.rebate_id
    WHERE o.now_counted <> 0 AND (o.is_claimed OR NOT o.is_own_user)
)

INSERT INTO judge_components (agent, rebate_id, of, kind, bet_id, amount, evidence, is_fact)
SELECT
    s.agent,
    p.rebate_id,
    p.of,
    p.kind,
    p.bet_id,
    p.amount,
    p.evidence,
    p.is_fact
FROM (
    SELECT
        rebate_id,
        'difference' AS of,
        kind,
        bet_id,
        amount,
        evidence,
        is_fact
    FROM of_difference
    UNION ALL
    SELECT
        rebate_id,
        'entitlement',
        kind,
        bet_id,
        sum(amount),
        min(evidence),
        bool_and(is_fact)
    FROM of_entitlement
    GROUP BY rebate_id, kind, bet_id
    HAVING sum(amount) <> 0
) AS p
INNER JOIN subject AS s ON s.rebate_id = p.rebate_id
