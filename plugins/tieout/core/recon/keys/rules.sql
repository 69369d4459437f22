-- Rounding, tolerances and severity of each currency the keys are in: its own entry, or the default. Parameters:
-- settings (jsonb).
INSERT INTO judge_rules (
    currency, places, mode, turnover, turnover_relative, amount, amount_relative, medium, high
)
SELECT
    c.currency,
    (e.rounding ->> 'places')::int,
    e.rounding ->> 'mode',
    (e.tolerance ->> 'turnover')::numeric,
    (e.tolerance ->> 'turnover_relative')::numeric,
    (e.tolerance ->> 'amount')::numeric,
    (e.tolerance ->> 'amount_relative')::numeric,
    (e.severity ->> 'medium')::numeric,
    (e.severity ->> 'high')::numeric
FROM (SELECT DISTINCT currency FROM judge_groups) AS c
CROSS JOIN LATERAL (
    SELECT
        coalesce(s.doc #> ARRAY['rounding', c.currency], s.doc #> '{rounding,default}') AS rounding,
        coalesce(s.doc #> ARRAY['tolerances', c.currency], s.doc #> '{tolerances,default}') AS tolerance,
        coalesce(s.doc #> ARRAY['severity', c.currency], s.doc #> '{severity,default}') AS severity
    FROM (SELECT %(settings)s::jsonb AS doc) AS s
) AS e
