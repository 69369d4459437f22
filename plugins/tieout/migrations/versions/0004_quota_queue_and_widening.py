"""Who waits for a quota row, and since when its spacing is widened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SINCE = "since when; null beside a min_interval: a person set it, and it stays"
HOW_OFTEN = "how often throttle answers widened the spacing"
QUEUE = "callers in the queue: class, turn, until"


def upgrade() -> None:
    op.add_column("quota", sa.Column("widened_at", sa.DateTime(timezone=True), comment=SINCE), schema="ops")
    op.add_column(
        "quota",
        sa.Column("widened", sa.BigInteger, nullable=False, server_default=sa.text("0"), comment=HOW_OFTEN),
        schema="ops",
    )
    op.add_column(
        "quota",
        sa.Column("waiting", JSONB, nullable=False, server_default=sa.text("'{}'"), comment=QUEUE),
        schema="ops",
    )
    # Until now only a throttle answer could have widened a row.
    op.execute("UPDATE ops.quota SET widened_at = throttled_at, widened = 1 WHERE min_interval IS NOT NULL")


def downgrade() -> None:
    for column in ("waiting", "widened", "widened_at"):
        op.drop_column("quota", column, schema="ops")
