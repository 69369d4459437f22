"""Which statements must be written anew is noted with what changes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

IDENT = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "statements_due",
        sa.Column("due_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("provider", IDENT, nullable=False),
        sa.Column("agent", IDENT, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column(
            "in_trend",
            sa.Boolean,
            nullable=False,
            comment="what the statements of the following days show of this day changed, too",
        ),
        schema="recon",
        comment="Statements to be written anew: a row for each change, gone once a statement holds it.",
    )
    op.create_index("ix_statements_due_agent", "statements_due", ["provider", "agent"], schema="recon")


def downgrade() -> None:
    op.drop_table("statements_due", schema="recon")
