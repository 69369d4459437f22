"""What was looked up for each verdict and break: that components add up, once for a statement; their run, not at all.

A run can no longer be deleted instead.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

EVENTS = {"inserted": "INSERT", "updated": "UPDATE"}
NAMING_RUNS = ("rebates", "breaks", "break_events")
REFUSED = {"never_deleted": "DELETE", "never_emptied": "TRUNCATE"}


def upgrade() -> None:
    op.execute("DROP TRIGGER components_add_up ON recon.rebates")
    for name, event in EVENTS.items():
        op.execute(
            f"CREATE TRIGGER verdicts_{name}_add_up AFTER {event} ON recon.rebates REFERENCING NEW TABLE AS touched"
            " FOR EACH STATEMENT EXECUTE FUNCTION recon.check_touched_components()"
        )
    for table in NAMING_RUNS:
        op.drop_constraint(f"fk_{table}_run_id_runs", table, schema="recon")
    for name, event in REFUSED.items():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON recon.runs"
            " FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()"
        )


def downgrade() -> None:
    for name in REFUSED:
        op.execute(f"DROP TRIGGER {name} ON recon.runs")
    for table in NAMING_RUNS:
        op.create_foreign_key(
            f"fk_{table}_run_id_runs", table, "runs", ["run_id"], ["run_id"],
            source_schema="recon", referent_schema="recon",
        )  # fmt: skip
    for name in EVENTS:
        op.execute(f"DROP TRIGGER verdicts_{name}_add_up ON recon.rebates")
    op.execute(
        "CREATE CONSTRAINT TRIGGER components_add_up AFTER INSERT OR UPDATE ON recon.rebates DEFERRABLE INITIALLY"
        " DEFERRED FOR EACH ROW WHEN (NEW.verdict = 'break') EXECUTE FUNCTION recon.check_components()"
    )
