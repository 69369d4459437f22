"""The book of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
IDENT = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", IDENT, nullable=False),
        sa.Column("cause", IDENT, nullable=False, comment="what names the cause within its kind"),
        sa.Column("provider", IDENT, nullable=False),
        sa.Column("feed", IDENT, nullable=False, comment="of a throttled quota: the endpoint"),
        sa.Column("agent", IDENT, nullable=False, comment="of a throttled quota: the merchant id"),
        sa.Column("since", INSTANT),
        sa.Column("until", INSTANT),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("opened_at", INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("closed_at", INSTANT, comment="when the cause was gone"),
        sa.Column(
            "sent_to", sa.ARRAY(sa.Text), server_default=sa.text("'{}'"), nullable=False,
            comment="the notifiers that were given it",
        ),
        schema="ops",
        comment="What somebody had to know: one row per appearance of a cause.",
    )  # fmt: skip
    op.create_index(
        "ix_alerts_open", "alerts", ["kind", "cause"], unique=True, schema="ops",
        postgresql_where=sa.text("closed_at IS NULL"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("alerts", schema="ops")
