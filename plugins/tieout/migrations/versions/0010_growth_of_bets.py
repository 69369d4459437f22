"""Tables of bets that grow to a hundred million rows: when they are vacuumed, and a smaller index of their history."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# A fifth of a hundred million rows is weeks of bets: by then the planner knows nothing of the newest days, and no
# page is marked all-visible. Fractions are of the table, thresholds in rows; the first one reached counts.
CHANGING = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.02",
    "autovacuum_vacuum_insert_threshold": "50000",
    "autovacuum_analyze_scale_factor": "0.01",
}
TABLES = ("lucko_bets", "lucko_bet_versions", "lucko_rebates", "lucko_rebate_bets", "vertexplay_betlogs")


def upgrade() -> None:
    settings = ", ".join(f"{name} = {value}" for name, value in CHANGING.items())
    for table in TABLES:
        op.execute(f"ALTER TABLE staging.{table} SET ({settings})")
    op.drop_index("ix_lucko_bet_versions_load_id", "lucko_bet_versions", schema="staging")
    # Versions are only ever added, so those of one load stand together: a block range tells as much as an entry a row.
    op.create_index(
        "ix_lucko_bet_versions_load_id", "lucko_bet_versions", ["load_id"], schema="staging",
        postgresql_using="brin", postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_lucko_bet_versions_load_id", "lucko_bet_versions", schema="staging")
    op.create_index("ix_lucko_bet_versions_load_id", "lucko_bet_versions", ["load_id"], schema="staging")
    names = ", ".join(CHANGING)
    for table in TABLES:
        op.execute(f"ALTER TABLE staging.{table} RESET ({names})")
