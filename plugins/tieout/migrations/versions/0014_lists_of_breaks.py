"""Indexes of what lists are sorted and found by: breaks by money, rebates without a verdict."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_breaks_overpaid", "breaks", [sa.text("abs(overpaid)"), "break_id"], schema="recon")
    op.create_index(
        "ix_rebates_undecided", "rebates", ["day", "agent"], schema="recon",
        postgresql_where=sa.text("verdict in ('pending', 'unprovable')"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_rebates_undecided", "rebates", schema="recon")
    op.drop_index("ix_breaks_overpaid", "breaks", schema="recon")
