"""Days whose rows were shed are closed; what has happened cannot be emptied out either."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

IDENT = sa.Text(collation="C")
APPEND_ONLY = ("break_events", "rebate_history")


def upgrade() -> None:
    op.create_table(
        "shed",
        sa.Column("provider", IDENT, primary_key=True),
        sa.Column("agent", IDENT, primary_key=True),
        sa.Column("before", sa.Date, nullable=False, comment="days before it are closed"),
        sa.Column("shed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        schema="ops",
        comment="Days whose rows may be gone from staging: verdicts and figures of them stand.",
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON recon.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()"
        )


def downgrade() -> None:
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER never_emptied ON recon.{table}")
    op.drop_table("shed", schema="ops")
