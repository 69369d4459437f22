"""Certificates per slice of a reading, when an agent was first known, and the gaps that are lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
IDENT = sa.Text(collation="C")


def upgrade() -> None:
    # A revisit reads adjoining slices in one window and certifies each of them.
    op.drop_constraint("pk_readings", "readings", schema="ops")
    op.create_primary_key("pk_readings", "readings", ["reading_id", "slice_start"], schema="ops")
    op.add_column(
        "readings",
        sa.Column("finished_at", INSTANT, comment="the database's clock after the last answer"),
        schema="ops",
    )
    # Too late rather than too early: a later reading is merged again with an older one, which changes nothing.
    op.execute("UPDATE ops.readings SET finished_at = coalesce(loaded_at, pulled_at)")
    op.alter_column("readings", "finished_at", nullable=False, schema="ops")
    op.add_column(
        "agents",
        sa.Column(
            "first_known_at", INSTANT, server_default=sa.func.now(), nullable=False,
            comment="when the feed was first declared: what the provider had forgotten by then was never ours",
        ),
        schema="ops",
    )  # fmt: skip
    op.execute("UPDATE ops.agents SET first_known_at = declared_at")
    op.create_table(
        "lost",
        sa.Column("provider", IDENT, primary_key=True),
        sa.Column("feed", IDENT, primary_key=True),
        sa.Column("agent", IDENT, primary_key=True),
        sa.Column("gap_start", INSTANT, primary_key=True),
        sa.Column("gap_end", INSTANT, nullable=False),
        sa.Column("slices", sa.Integer, nullable=False),
        sa.Column("recorded_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("grown_at", INSTANT, server_default=sa.func.now(), nullable=False, comment="when the gap last grew"),
        sa.CheckConstraint("gap_start < gap_end", name="gap"),
        schema="ops",
        comment="Time that no reading covers and the provider has forgotten; one row per gap.",
    )


def downgrade() -> None:
    raise NotImplementedError("certificates of joined readings cannot be told apart without their slices")
