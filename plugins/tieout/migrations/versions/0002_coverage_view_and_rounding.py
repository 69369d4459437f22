"""The coverage view ops.slice_status and the rounding function of reconciliation."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Slice boundaries are absolute: widths become seconds, so that no session timezone can bend a day.
SLICE_STATUS = """
CREATE VIEW ops.slice_status AS
SELECT
    a.provider,
    a.feed,
    a.agent,
    s.slice_start,
    s.slice_start + w.width AS slice_end,
    CASE
        WHEN c.certified @> tstzrange(s.slice_start, s.slice_start + w.width) THEN 'certified'
        WHEN now() < s.slice_start + w.width + a.lag THEN 'due'
        WHEN c.suspect && tstzrange(s.slice_start, s.slice_start + w.width) THEN 'suspect'
        WHEN c.landed && tstzrange(s.slice_start, s.slice_start + w.width) THEN 'landed'
        WHEN s.slice_start < now() - a.reach THEN 'lost'
        ELSE 'missing'
    END AS status,
    s.slice_start + a.reach AS deadline
FROM ops.agents AS a
CROSS JOIN LATERAL (
    SELECT make_interval(secs => extract(epoch FROM a.slice_width)::double precision) AS width
) AS w
CROSS JOIN LATERAL (
    SELECT date_bin(w.width, a.start_at, timestamptz '2000-01-01 00:00+00' + a.slice_anchor) AS floor
) AS f
CROSS JOIN LATERAL generate_series(
    CASE WHEN f.floor < a.start_at THEN f.floor + w.width ELSE f.floor END,
    least(coalesce(a.stop_at, 'infinity'), now()) - interval '1 microsecond',
    w.width
) AS s (slice_start)
CROSS JOIN LATERAL (
    SELECT
        coalesce(range_agg(tstzrange(r.slice_start, r.slice_end))
            FILTER (WHERE r.state = 'certified' AND r.g_types @> a.g_types), '{}') AS certified,
        coalesce(range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.state = 'suspect'), '{}')
            AS suspect,
        coalesce(range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.state = 'landed'), '{}')
            AS landed
    FROM ops.readings AS r
    WHERE r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent
) AS c
"""

ROUND_MONEY = """
CREATE FUNCTION recon.round_money(amount numeric, places integer, mode text) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE mode
    WHEN 'half_up' THEN round(amount, places)
    WHEN 'down' THEN trunc(amount, places)
    WHEN 'half_even' THEN
        CASE
            WHEN abs(amount * 10::numeric ^ places - trunc(amount * 10::numeric ^ places)) = 0.5
                THEN trunc(2 * round(amount * 10::numeric ^ places / 2) / 10::numeric ^ places, places)
            ELSE round(amount, places)
        END
END
"""


def upgrade() -> None:
    op.execute(SLICE_STATUS)
    op.execute(
        "COMMENT ON VIEW ops.slice_status IS 'Each expected slice: certified, suspect, landed, missing, lost, due'"
    )
    op.execute(ROUND_MONEY)


def downgrade() -> None:
    op.execute("DROP FUNCTION recon.round_money(numeric, integer, text)")
    op.execute("DROP VIEW ops.slice_status")
