"""Components are checked once for a statement instead of once for a row."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A trigger for each event: a table of what a statement touched belongs to one kind of event.
TOUCHED = {
    "inserted": ("INSERT", "NEW"),
    "updated_from": ("UPDATE", "OLD"),
    "updated_to": ("UPDATE", "NEW"),
    "deleted": ("DELETE", "OLD"),
}

CHECK_TOUCHED = """
CREATE FUNCTION recon.check_touched_components() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT r.agent, r.rebate_id, r.difference, r.turnover - r.entitled_turnover AS beyond, f.*
    INTO wrong
    FROM (SELECT DISTINCT agent, rebate_id FROM touched) AS t
    INNER JOIN recon.rebates AS r ON r.agent = t.agent AND r.rebate_id = t.rebate_id AND r.verdict = 'break'
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(c.amount) FILTER (WHERE c.of = 'difference'), 0) AS found_difference,
               coalesce(sum(c.amount) FILTER (WHERE c.of = 'entitlement'), 0) AS found_beyond
        FROM recon.break_components AS c
        WHERE c.agent = r.agent AND c.rebate_id = r.rebate_id
    ) AS f
    WHERE (f.found_difference, f.found_beyond) IS DISTINCT FROM (r.difference, r.turnover - r.entitled_turnover)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the components of rebate % of agent % add up to % and %, not to its difference % and to % of '
            'turnover beyond what it is entitled to', wrong.rebate_id, wrong.agent, wrong.found_difference,
            wrong.found_beyond, wrong.difference, wrong.beyond
            USING ERRCODE = 'check_violation', CONSTRAINT = 'components_add_up';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute("DROP TRIGGER components_add_up ON recon.break_components")
    op.execute(CHECK_TOUCHED)
    for name, (event, rows) in TOUCHED.items():
        op.execute(
            f"CREATE TRIGGER components_{name}_add_up AFTER {event} ON recon.break_components"
            f" REFERENCING {rows} TABLE AS touched"
            " FOR EACH STATEMENT EXECUTE FUNCTION recon.check_touched_components()"
        )


def downgrade() -> None:
    for name in TOUCHED:
        op.execute(f"DROP TRIGGER components_{name}_add_up ON recon.break_components")
    op.execute("DROP FUNCTION recon.check_touched_components()")
    op.execute(
        "CREATE CONSTRAINT TRIGGER components_add_up AFTER INSERT OR UPDATE OR DELETE ON recon.break_components"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION recon.check_components()"
    )
