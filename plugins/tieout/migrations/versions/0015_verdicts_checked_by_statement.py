"""That components add up is checked once for a statement that writes verdicts instead of once for a row."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

EVENTS = {"inserted": "INSERT", "updated": "UPDATE"}


def upgrade() -> None:
    op.execute("DROP TRIGGER components_add_up ON recon.rebates")
    for name, event in EVENTS.items():
        op.execute(
            f"CREATE TRIGGER verdicts_{name}_add_up AFTER {event} ON recon.rebates REFERENCING NEW TABLE AS touched"
            " FOR EACH STATEMENT EXECUTE FUNCTION recon.check_touched_components()"
        )


def downgrade() -> None:
    for name in EVENTS:
        op.execute(f"DROP TRIGGER verdicts_{name}_add_up ON recon.rebates")
    op.execute(
        "CREATE CONSTRAINT TRIGGER components_add_up AFTER INSERT OR UPDATE ON recon.rebates DEFERRABLE INITIALLY"
        " DEFERRED FOR EACH ROW WHEN (NEW.verdict = 'break') EXECUTE FUNCTION recon.check_components()"
    )
