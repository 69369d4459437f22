"""All reasons, components that must add up, verdicts of earlier runs, and what an incremental run looks up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
IDENT = sa.Text(collation="C")
IDS = sa.ARRAY(sa.Text)
RANGE = postgresql.TSTZRANGE()
RANGES = postgresql.TSTZMULTIRANGE()
NO_IDS = sa.text("'{}'")

# Not STRICT, unlike before: a strict function with a CASE cannot be inlined, and a call a rebate costs seconds.
ROUND_MONEY = """
CREATE OR REPLACE FUNCTION recon.round_money(amount numeric, places integer, mode text) RETURNS numeric
LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE
RETURN CASE mode
    WHEN 'half_up' THEN round(amount, places)
    WHEN 'down' THEN trunc(amount, places)
    WHEN 'half_even' THEN
        CASE
            WHEN abs(amount * 10::numeric ^ places - trunc(amount * 10::numeric ^ places)) = 0.5
                THEN trunc(2 * round(amount * 10::numeric ^ places / 2) / 10::numeric ^ places, places)
            ELSE round(amount, places)
        END
END
"""

# As a window aggregate: what is left of the first argument's first value once each candidate was tried in turn.
REMAINDER = """
CREATE FUNCTION recon.try_candidate(remainder numeric, whole numeric, candidate numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE
RETURN CASE
    WHEN abs(coalesce(remainder, whole) - candidate) < abs(coalesce(remainder, whole))
        THEN coalesce(remainder, whole) - candidate
    ELSE coalesce(remainder, whole)
END;
CREATE AGGREGATE recon.remainder(whole numeric, candidate numeric) (
    SFUNC = recon.try_candidate, STYPE = numeric, PARALLEL = SAFE
)
"""

# As a window aggregate over the versions of a bet, oldest first: since when each was in force.
EFFECTIVE_AT = """
CREATE FUNCTION recon.effective_after(previous timestamptz, changed_at timestamptz, pulled_at timestamptz)
    RETURNS timestamptz
LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE
RETURN CASE WHEN previous IS NULL OR changed_at > previous THEN changed_at ELSE pulled_at END;
CREATE AGGREGATE recon.effective_at(changed_at timestamptz, pulled_at timestamptz) (
    SFUNC = recon.effective_after, STYPE = timestamptz, PARALLEL = SAFE
)
"""

# Checked when the transaction ends: verdicts and components are written one after the other.
COMPONENTS_ADD_UP = """
CREATE FUNCTION recon.check_components() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    subject record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    judged recon.rebates%ROWTYPE;
    found record;
BEGIN
    SELECT * INTO judged FROM recon.rebates AS r WHERE r.agent = subject.agent AND r.rebate_id = subject.rebate_id;
    SELECT coalesce(sum(c.amount) FILTER (WHERE c.of = 'difference'), 0) AS difference,
           coalesce(sum(c.amount) FILTER (WHERE c.of = 'entitlement'), 0) AS entitlement
    INTO found
    FROM recon.break_components AS c WHERE c.agent = subject.agent AND c.rebate_id = subject.rebate_id;
    IF judged.verdict = 'break' AND (found.difference, found.entitlement)
        IS DISTINCT FROM (judged.difference, judged.turnover - judged.entitled_turnover)
    THEN
        RAISE EXCEPTION 'the components of rebate % of agent % add up to % and %, not to its difference % and to % of '
            'turnover beyond what it is entitled to', judged.rebate_id, judged.agent, found.difference,
            found.entitlement, judged.difference, judged.turnover - judged.entitled_turnover
            USING ERRCODE = 'check_violation', CONSTRAINT = 'components_add_up';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER components_add_up AFTER INSERT OR UPDATE OR DELETE ON recon.break_components
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION recon.check_components();
CREATE CONSTRAINT TRIGGER components_add_up AFTER INSERT OR UPDATE ON recon.rebates
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.verdict = 'break') EXECUTE FUNCTION recon.check_components()
"""

APPEND_ONLY = """
CREATE FUNCTION recon.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'recon.% is append-only: what has happened is not rewritten', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON recon.break_events
    FOR EACH ROW EXECUTE FUNCTION recon.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON recon.rebate_history
    FOR EACH ROW EXECUTE FUNCTION recon.refuse_change()
"""


def _ids(name: str) -> sa.Column[list[str]]:
    return sa.Column(name, IDS, server_default=NO_IDS, nullable=False)


def upgrade() -> None:
    _runs()
    _rebates()
    _history()
    _breaks()
    for statement in (ROUND_MONEY, REMAINDER, EFFECTIVE_AT, COMPONENTS_ADD_UP, APPEND_ONLY):
        op.execute(statement)
    _indexes_of_staging()


def _runs() -> None:
    op.add_column("runs", sa.Column("config_fingerprint", IDENT, server_default="", nullable=False), schema="recon")
    op.alter_column("runs", "config_fingerprint", server_default=None, schema="recon")
    op.add_column(
        "runs",
        sa.Column(
            "everything", sa.Boolean, server_default=sa.text("false"), nullable=False,
            comment="every rebate of the agent was judged",
        ),
        schema="recon",
    )  # fmt: skip
    op.add_column(
        "runs",
        sa.Column(
            "also_saw", sa.ARRAY(sa.BigInteger), server_default=NO_IDS, nullable=False,
            comment="loads in the run's snapshot that no run had consumed; with run_inputs up to this run: all it saw",
        ),
        schema="recon",
    )  # fmt: skip
    op.add_column(
        "runs",
        sa.Column("slices", RANGES, comment="certified slices of the bets feed that the verdicts rest on"),
        schema="recon",
    )
    op.add_column(
        "runs",
        sa.Column(
            "changed", sa.Integer, server_default=sa.text("0"), nullable=False,
            comment="rebates whose verdict is another one now",
        ),
        schema="recon",
    )  # fmt: skip
    op.create_index("ix_runs_agent", "runs", ["agent", "run_id"], schema="recon")


def _added() -> list[sa.Column]:  # type: ignore[type-arg]
    return [
        sa.Column("lost_slices", RANGES, comment="slices it would need that are beyond the provider's reach"),
        _ids("foreign_ids"),
        _ids("reused_ids"),
        _ids("unsettled_ids"),
        sa.Column("wallet_first_used_by", IDENT, comment="the rebate that used its wallet transaction first"),
        sa.Column("first_paid_by", IDENT, comment="the rebate that made the same payment first"),
        sa.Column("bets_of_other_days", sa.Integer, server_default=sa.text("0"), nullable=False),
        # Verdicts that stand already are judged again by the first incremental run, which knows of no run before it.
        sa.Column(
            "could_hold", RANGE, server_default=sa.text("'empty'"), nullable=False,
            comment="slices that could hold its bets, before any change",
        ),
        sa.Column(
            "recheck_at", INSTANT, comment="once bets are certified up to here, the verdict may change by itself"
        ),
    ]  # fmt: skip


def _rebates() -> None:
    for column in _added():
        op.add_column("rebates", column, schema="recon")
    op.alter_column("rebates", "could_hold", server_default=None, schema="recon")
    op.create_index("ix_rebates_could_hold", "rebates", ["agent", "could_hold"], schema="recon")
    op.create_index(
        "ix_rebates_recheck", "rebates", ["agent", "recheck_at"], schema="recon",
        postgresql_where=sa.text("recheck_at IS NOT NULL"),
    )  # fmt: skip
    op.create_index(
        "ix_rebates_rejected", "rebates", ["agent"], schema="recon",
        postgresql_where=sa.text("pending_reason = 'rejected'"),
    )  # fmt: skip
    op.create_table(
        "coverage",
        sa.Column("agent", IDENT, primary_key=True),
        sa.Column("could_hold", RANGE, primary_key=True),
        sa.Column("needed", RANGES, nullable=False, comment="could_hold and what follows from when it was read"),
        sa.Column("open_gaps", RANGES, nullable=False),
        sa.Column("lost_gaps", RANGES, nullable=False),
        sa.Column("not_ours", sa.Boolean, nullable=False),
        schema="recon",
        comment="What the ledger proved of each range when its rebates were judged: tells whose verdicts change.",
    )


def _history() -> None:
    op.create_table(
        "rebate_history",
        sa.Column("agent", IDENT, primary_key=True),
        sa.Column("rebate_id", IDENT, primary_key=True),
        sa.Column("run_id", sa.BigInteger, primary_key=True, comment="the run since which it said so"),
        sa.Column("until_run", sa.BigInteger, nullable=False, comment="the run that said otherwise"),
        sa.Column("judged_at", INSTANT, nullable=False),
        sa.Column("day", sa.Date, nullable=False, comment="the settlement day the rebate names"),
        sa.Column("activity_id", IDENT, nullable=False),
        sa.Column("user_id", IDENT, nullable=False),
        sa.Column("currency", IDENT, nullable=False),
        sa.Column("create_time", INSTANT, nullable=False),
        sa.Column("verdict", IDENT, nullable=False),
        _ids("reasons"),
        _ids("warnings"),
        _ids("provisional_reasons"),
        sa.Column("pending_reason", IDENT),
        sa.Column("waits_for", RANGES, comment="slices of the bets feed that must be certified first"),
        sa.Column("turnover", sa.Numeric, nullable=False),
        sa.Column("rate", sa.Numeric, nullable=False),
        sa.Column("rebate_amount", sa.Numeric, nullable=False),
        sa.Column("linked_bets", sa.Integer, nullable=False),
        sa.Column(
            "linked_turnover", sa.Numeric, nullable=False,
            comment="sum over distinct linked bets, settled, in its currency",
        ),
        sa.Column("difference", sa.Numeric, nullable=False, comment="turnover - linked_turnover"),
        sa.Column("expected_amount", sa.Numeric, nullable=False, comment="round(turnover x rate x 0.01)"),
        sa.Column("entitled_turnover", sa.Numeric, nullable=False),
        sa.Column("entitled", sa.Numeric, nullable=False),
        sa.Column("overpaid", sa.Numeric, nullable=False, comment="rebate_amount - entitled; negative: underpaid"),
        sa.Column("severity", IDENT),
        _ids("missing_ids"),
        _ids("voided_ids"),
        *_added(),
        sa.Column(
            "components", postgresql.JSONB, nullable=False,
            comment="what its differences were made of, as in recon.break_components",
        ),
        sa.CheckConstraint("run_id < until_run", name="order"),
        schema="recon",
        comment="Verdicts that later runs replaced; with recon.rebates, the verdict as of any run.",
    )  # fmt: skip
    op.alter_column("rebate_history", "could_hold", server_default=None, schema="recon")


def _breaks() -> None:
    op.add_column("breaks", sa.Column("accepted_at", INSTANT), schema="recon")
    op.add_column(
        "breaks",
        sa.Column("accepted_fingerprint", IDENT, comment="the amount and evidence that were accepted"),
        schema="recon",
    )
    op.execute("UPDATE recon.breaks SET accepted_fingerprint = fingerprint WHERE state = 'accepted'")
    op.create_check_constraint(
        op.f("ck_breaks_acceptance"),
        "breaks",
        "state <> 'accepted' OR (accepted_reason IS NOT NULL AND accepted_by IS NOT NULL"
        " AND accepted_fingerprint = fingerprint)",
        schema="recon",
    )
    op.create_index(
        "ix_breaks_accepted", "breaks", ["agent", "accepted_until"], schema="recon",
        postgresql_where=sa.text("state = 'accepted'"),
    )  # fmt: skip
    for column in (
        sa.Column("load_id", sa.BigInteger, comment="the load that brought the cause about, where one did"),
        sa.Column("bet_id", IDENT, comment="the bet whose new state is the cause"),
        sa.Column("reading_id", IDENT, comment="the reading of that load: its slices stand in ops.readings"),
        sa.Column("expires_at", INSTANT, comment="of an acceptance"),
    ):
        op.add_column("break_events", column, schema="recon")
    op.create_check_constraint(
        op.f("ck_break_components_kind"),
        "break_components",
        "kind in ('restated', 'voided', 'foreign', 'reused', 'missing', 'unexplained')",
        schema="recon",
    )


def _indexes_of_staging() -> None:
    # Equal load ids share one entry each: the index stays small and grows at its right end.
    for table in ("lucko_bets", "lucko_bet_versions", "lucko_rebates"):
        op.create_index(f"ix_{table}_load_id", table, ["load_id"], schema="staging")
    op.drop_index("ix_lucko_rebates_agent_date", "lucko_rebates", schema="staging")
    op.create_index("ix_lucko_rebates_agent_date", "lucko_rebates", ["agent", "date", "user_id"], schema="staging")
    op.create_index("ix_lucko_rebates_wallet", "lucko_rebates", ["agent", "wallet_txn_id"], schema="staging")


def downgrade() -> None:
    raise NotImplementedError("verdicts of earlier runs and the causes of events would be lost")
