"""What pages read: certified time per feed, use of each quota by the hour, and indexes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSTZMULTIRANGE

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
IDENT = sa.Text(collation="C")
USED = "hour (of the epoch) to calls granted and the seconds their slots took, of the last 24 hours"

# What the monitor wrote down, and what was loaded since. A load may be committed some time after the instant it
# carries. A feed that was declared since, or with other game types, is added up from its readings.
PROOFS = """
CREATE VIEW ops.proofs AS
WITH newer AS MATERIALIZED (
    SELECT
        r.provider, r.feed, r.agent,
        range_agg(tstzrange(r.slice_start, r.slice_end))
            FILTER (WHERE r.state = 'certified' AND r.g_types @> a.g_types) AS certified,
        range_agg(tstzrange(r.slice_start, r.slice_end)) FILTER (WHERE r.rows > 0) AS active
    FROM ops.readings AS r
    JOIN ops.agents AS a ON a.provider = r.provider AND a.feed = r.feed AND a.agent = r.agent
    WHERE r.loaded_at >= (SELECT min(c.as_of) FROM ops.certified AS c) - interval '1 hour'
    GROUP BY r.provider, r.feed, r.agent
)
SELECT
    a.provider, a.feed, a.agent,
    coalesce(CASE WHEN c.g_types = a.g_types THEN c.ranges ELSE (
        SELECT range_agg(tstzrange(r.slice_start, r.slice_end)) FROM ops.readings AS r
        WHERE r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent
          AND r.state = 'certified' AND r.g_types @> a.g_types
    ) END, '{}') + coalesce(n.certified, '{}') AS certified,
    coalesce(CASE WHEN c.g_types = a.g_types THEN c.active ELSE (
        SELECT range_agg(tstzrange(r.slice_start, r.slice_end)) FROM ops.readings AS r
        WHERE r.provider = a.provider AND r.feed = a.feed AND r.agent = a.agent AND r.rows > 0
    ) END, '{}') + coalesce(n.active, '{}') AS active
FROM ops.agents AS a
LEFT JOIN ops.certified AS c ON c.provider = a.provider AND c.feed = a.feed AND c.agent = a.agent
LEFT JOIN newer AS n ON n.provider = a.provider AND n.feed = a.feed AND n.agent = a.agent
"""


def upgrade() -> None:
    op.create_table(
        "certified",
        sa.Column("provider", IDENT, primary_key=True),
        sa.Column("feed", IDENT, primary_key=True),
        sa.Column("agent", IDENT, primary_key=True),
        sa.Column(
            "g_types", sa.ARRAY(sa.Text), nullable=False, comment="JDB: the game types for which it was reckoned"
        ),
        sa.Column("ranges", TSTZMULTIRANGE, nullable=False),
        sa.Column("active", TSTZMULTIRANGE, nullable=False, comment="of readings that brought rows"),
        sa.Column(
            "as_of", INSTANT, nullable=False,
            comment="the database's clock when the monitor looked; later loads are not in it",
        ),
        schema="ops",
        comment="The certified time of each feed, kept by the monitor so that nobody adds up all readings for a page.",
    )  # fmt: skip
    op.create_index("ix_readings_loaded_at", "readings", ["loaded_at"], schema="ops")
    op.create_index(
        "ix_readings_uncertified", "readings", ["provider", "feed", "agent", "slice_start"], schema="ops",
        postgresql_where=sa.text("state <> 'certified'"),
    )  # fmt: skip
    op.create_index("ix_breaks_opened_at", "breaks", ["opened_at", "break_id"], schema="recon")
    op.create_index("ix_breaks_size", "breaks", [sa.text("abs(amount)"), "break_id"], schema="recon")
    op.execute(PROOFS)
    op.execute("COMMENT ON VIEW ops.proofs IS 'The certified time of each feed as it stands, and where rows came'")
    op.add_column(
        "quota", sa.Column("used", JSONB, server_default=sa.text("'{}'"), nullable=False, comment=USED), schema="ops"
    )


def downgrade() -> None:
    op.drop_column("quota", "used", schema="ops")
    op.execute("DROP VIEW ops.proofs")
    op.drop_index("ix_breaks_size", "breaks", schema="recon")
    op.drop_index("ix_breaks_opened_at", "breaks", schema="recon")
    op.drop_index("ix_readings_uncertified", "readings", schema="ops")
    op.drop_index("ix_readings_loaded_at", "readings", schema="ops")
    op.drop_table("certified", schema="ops")
