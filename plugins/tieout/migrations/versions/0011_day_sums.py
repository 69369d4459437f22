"""What became of a day's settled bets is kept, so that later runs change it by what moved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

IDENT = sa.Text(collation="C")
FATES = "fate in ('unclaimed', 'kept', 'to_other_days', 'other_currency')"
ONLY_APPENDED = "histories got states at their end and lost none: what rows were before can be told by load_id"


def upgrade() -> None:
    # Empty: a day without sums is added up as a whole the next time.
    op.create_table(
        "day_sums",
        sa.Column("agent", IDENT, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("currency", IDENT, nullable=False),
        sa.Column("game_id", IDENT, nullable=False),
        sa.Column("user_id", IDENT, comment="of unclaimed bets only"),
        sa.Column("activity_id", IDENT, comment="of claimed bets only"),
        sa.Column(
            "is_dated", sa.Boolean, nullable=False, comment="false: without settle_time, of this day by their bet_time"
        ),
        sa.Column("fate", IDENT, nullable=False),
        sa.Column("bets", sa.BigInteger, nullable=False),
        sa.Column("turnover", sa.Numeric, nullable=False),
        sa.Column("run_id", sa.BigInteger, sa.ForeignKey("recon.runs.run_id"), nullable=False),
        sa.CheckConstraint("bets > 0", name="bets"),
        sa.CheckConstraint(FATES, name="fate"),
        sa.CheckConstraint("(fate = 'unclaimed') = (user_id IS NOT NULL)", name="user"),
        sa.CheckConstraint("(fate = 'unclaimed') = (activity_id IS NULL)", name="activity"),
        schema="recon",
        comment="What became of a day's settled bets that no two rebates name, added up: runs change it by what moved.",
    )
    op.create_index("ix_day_sums_day", "day_sums", ["agent", "day"], schema="recon")
    op.add_column(
        "shared_bets",
        sa.Column(
            "run_id", sa.BigInteger, server_default=sa.text("0"), nullable=False, comment="the run that noted it"
        ),
        schema="recon",
    )
    op.add_column(
        "loads",
        sa.Column("only_appended", sa.Boolean, server_default=sa.false(), nullable=False, comment=ONLY_APPENDED),
        schema="ops",
    )


def downgrade() -> None:
    op.drop_column("loads", "only_appended", schema="ops")
    op.drop_column("shared_bets", "run_id", schema="recon")
    op.drop_table("day_sums", schema="recon")
