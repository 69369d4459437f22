"""Reconciliation: a verdict per rebate, the breaks and their history, and the daily tie-out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Interval,
    Table,
    Text,
    func,
)
from sqlalchemy import (
    text as sql,
)
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE, TSTZRANGE

from tieout.core.tables.base import big, flag, ident, instant, jsonb, metadata, money, number, text


def _names(name: str) -> Column[list[str]]:
    return Column(name, ARRAY(Text), nullable=False, server_default=sql("'{}'"))


runs = Table(
    "runs",
    metadata,
    big("run_id", Identity(always=True), primary_key=True),
    ident("agent", nullable=False),
    ident("kind", nullable=False),
    Column("days", ARRAY(Date), nullable=False, comment="settlement days judged in full; empty for incremental runs"),
    jsonb("config", nullable=False),
    ident("config_fingerprint", nullable=False),
    flag("everything", nullable=False, server_default=sql("false"), comment="every rebate of the agent was judged"),
    Column(
        "also_saw",
        ARRAY(BigInteger),
        nullable=False,
        server_default=sql("'{}'"),
        comment="loads in the run's snapshot that no run had consumed; with run_inputs up to this run: all it saw",
    ),
    Column("slices", TSTZMULTIRANGE, comment="certified slices of the bets feed that the verdicts rest on"),
    instant("started_at", nullable=False),
    Column("duration", Interval),
    number("judged", nullable=False, server_default=sql("0")),
    number("changed", nullable=False, server_default=sql("0"), comment="rebates whose verdict is another one now"),
    number("matched", nullable=False, server_default=sql("0")),
    number("pending", nullable=False, server_default=sql("0")),
    number("broken", nullable=False, server_default=sql("0")),
    number("unprovable", nullable=False, server_default=sql("0")),
    number("failed", nullable=False, server_default=sql("0")),
    CheckConstraint("kind in ('full', 'incremental')", name="kind"),
    Index("ix_runs_agent", "agent", "run_id"),
    schema="recon",
    comment="Every run of the judge: what it judged, with which inputs and settings, and how it came out.",
)

run_inputs = Table(
    "run_inputs",
    metadata,
    ident("agent", primary_key=True),
    big("load_id", primary_key=True),
    big("run_id", ForeignKey("recon.runs.run_id"), nullable=False),
    Index("ix_run_inputs_run_id", "run_id"),
    schema="recon",
    comment="The loads each run was the first to consume.",
)


def _verdict() -> list[Column[Any]]:
    """Return what the judge says of a rebate."""
    return [
        Column("day", Date, nullable=False, comment="the settlement day the rebate names"),
        ident("activity_id", nullable=False),
        ident("user_id", nullable=False),
        ident("currency", nullable=False),
        instant("create_time", nullable=False),
        ident("verdict", nullable=False),
        _names("reasons"),
        _names("warnings"),
        _names("provisional_reasons"),
        ident("pending_reason"),
        Column("waits_for", TSTZMULTIRANGE, comment="slices of the bets feed that must be certified first"),
        Column("lost_slices", TSTZMULTIRANGE, comment="slices it would need that are beyond the provider's reach"),
        money("turnover", nullable=False),
        money("rate", nullable=False),
        money("rebate_amount", nullable=False),
        number("linked_bets", nullable=False),
        money("linked_turnover", nullable=False, comment="sum over distinct linked bets, settled, in its currency"),
        money("difference", nullable=False, comment="turnover - linked_turnover"),
        money("expected_amount", nullable=False, comment="round(turnover x rate x 0.01)"),
        money("entitled_turnover", nullable=False),
        money("entitled", nullable=False),
        money("overpaid", nullable=False, comment="rebate_amount - entitled; negative: underpaid"),
        ident("severity"),
        _names("missing_ids"),
        _names("voided_ids"),
        _names("foreign_ids"),
        _names("reused_ids"),
        _names("unsettled_ids"),
        ident("wallet_first_used_by", comment="the rebate that used its wallet transaction first"),
        ident("first_paid_by", comment="the rebate that made the same payment first"),
        number("bets_of_other_days", nullable=False, server_default=sql("0")),
        Column("could_hold", TSTZRANGE, nullable=False, comment="slices that could hold its bets, before any change"),
        instant("recheck_at", comment="once bets are certified up to here, the verdict may change by itself"),
    ]


#: The columns of a verdict, in order.
VERDICT = tuple(column.name for column in _verdict())

rebates = Table(
    "rebates",
    metadata,
    ident("agent", primary_key=True),
    ident("rebate_id", primary_key=True),
    # No foreign key here and where breaks and their events name runs: a look for each row, at what is never deleted.
    big("run_id", nullable=False, comment="the run since which it says so"),
    instant("judged_at", nullable=False, comment="when that run began"),
    *_verdict(),
    CheckConstraint("verdict in ('matched', 'break', 'pending', 'failed', 'unprovable')", name="verdict"),
    CheckConstraint("pending_reason in ('not_fetched', 'unsettled', 'rejected')", name="pending_reason"),
    CheckConstraint("(verdict = 'break') = (cardinality(reasons) > 0)", name="break_has_reasons"),
    Index("ix_rebates_agent_day", "agent", "day"),
    Index("ix_rebates_could_hold", "agent", "could_hold"),
    Index("ix_rebates_recheck", "agent", "recheck_at", postgresql_where=sql("recheck_at IS NOT NULL")),
    Index("ix_rebates_undecided", "day", "agent", postgresql_where=sql("verdict in ('pending', 'unprovable')")),
    Index("ix_rebates_rejected", "agent", postgresql_where=sql("pending_reason = 'rejected'")),
    schema="recon",
    comment="The verdict on every rebate as it stands.",
)

rebate_history = Table(
    "rebate_history",
    metadata,
    ident("agent", primary_key=True),
    ident("rebate_id", primary_key=True),
    big("run_id", primary_key=True, comment="the run since which it said so"),
    big("until_run", nullable=False, comment="the run that said otherwise"),
    instant("judged_at", nullable=False),
    *_verdict(),
    jsonb("components", nullable=False, comment="what its differences were made of, as in recon.break_components"),
    CheckConstraint("run_id < until_run", name="order"),
    schema="recon",
    comment="Verdicts that later runs replaced; with recon.rebates, the verdict as of any run.",
)

coverage = Table(
    "coverage",
    metadata,
    ident("agent", primary_key=True),
    Column("could_hold", TSTZRANGE, primary_key=True),
    Column("needed", TSTZMULTIRANGE, nullable=False, comment="could_hold and what follows from when it was read"),
    Column("open_gaps", TSTZMULTIRANGE, nullable=False),
    Column("lost_gaps", TSTZMULTIRANGE, nullable=False),
    flag("not_ours", nullable=False),
    schema="recon",
    comment="What the ledger proved of each range when its rebates were judged: tells whose verdicts change.",
)

shared_bets = Table(
    "shared_bets",
    metadata,
    ident("agent", primary_key=True),
    ident("bet_id", primary_key=True),
    big("run_id", nullable=False, server_default=sql("0"), comment="the run that noted it"),
    schema="recon",
    comment="Bets that several rebates name, or once named: each is looked at one by one.",
)

breaks = Table(
    "breaks",
    metadata,
    big("break_id", Identity(always=True), primary_key=True),
    ident("agent", nullable=False),
    ident("rebate_id", nullable=False),
    ident("reason", nullable=False),
    Column("day", Date, nullable=False),
    ident("user_id", nullable=False),
    ident("currency", nullable=False),
    ident("state", nullable=False),
    money("amount", nullable=False, comment="what the reason is about: turnover, or money for reason amount"),
    money("overpaid", nullable=False),
    Column("bet_ids", ARRAY(Text), nullable=False, server_default=sql("'{}'")),
    text("sentence", nullable=False),
    ident("fingerprint", nullable=False),
    instant("opened_at", nullable=False),
    instant("changed_at", nullable=False),
    big("run_id", nullable=False),
    text("accepted_reason"),
    ident("accepted_by"),
    instant("accepted_at"),
    instant("accepted_until"),
    ident("accepted_fingerprint", comment="the amount and evidence that were accepted"),
    CheckConstraint("state in ('open', 'healed', 'reopened', 'accepted')", name="state"),
    Index("uq_breaks_subject", "agent", "rebate_id", "reason", unique=True),
    CheckConstraint(
        "state <> 'accepted' OR (accepted_reason IS NOT NULL AND accepted_by IS NOT NULL"
        " AND accepted_fingerprint = fingerprint)",
        name="acceptance",
    ),
    Index("ix_breaks_agent_day", "agent", "day"),
    Index("ix_breaks_opened_at", "opened_at", "break_id"),
    Index("ix_breaks_size", sql("abs(amount)"), "break_id"),
    Index("ix_breaks_overpaid", sql("abs(overpaid)"), "break_id"),
    Index("ix_breaks_accepted", "agent", "accepted_until", postgresql_where=sql("state = 'accepted'")),
    schema="recon",
    comment="One row per agent, rebate and reason; it lives on through healing and reopening.",
)

break_events = Table(
    "break_events",
    metadata,
    big("event_id", Identity(always=True), primary_key=True),
    big("break_id", ForeignKey("recon.breaks.break_id"), nullable=False),
    big("run_id"),
    ident("state", nullable=False),
    money("amount", nullable=False),
    ident("fingerprint", nullable=False),
    text("cause"),
    big("load_id", comment="the load that brought the cause about, where one did"),
    ident("bet_id", comment="the bet whose new state is the cause"),
    ident("reading_id", comment="the reading of that load: its slices stand in ops.readings"),
    ident("actor"),
    instant("expires_at", comment="of an acceptance"),
    instant("happened_at", nullable=False, server_default=func.now()),
    Index("ix_break_events_break_id", "break_id"),
    schema="recon",
    comment="Append-only history of every break.",
)

break_components = Table(
    "break_components",
    metadata,
    ident("agent", primary_key=True),
    ident("rebate_id", primary_key=True),
    ident("of", primary_key=True, comment="difference, or entitlement (turnover - entitled_turnover)"),
    ident("kind", primary_key=True),
    ident("bet_id", primary_key=True, comment="empty where no bet is concerned"),
    money("amount", nullable=False),
    ident("evidence", nullable=False),
    flag("is_fact", nullable=False),
    CheckConstraint("of in ('difference', 'entitlement')", name="of"),
    CheckConstraint("evidence in ('observed', 'presumed', 'none')", name="evidence"),
    CheckConstraint("kind in ('restated', 'voided', 'foreign', 'reused', 'missing', 'unexplained')", name="kind"),
    schema="recon",
    comment="What a difference is made of; the amounts of one rebate sum to it exactly.",
)

daily = Table(
    "daily",
    metadata,
    ident("agent", primary_key=True),
    Column("day", Date, primary_key=True),
    ident("currency", primary_key=True),
    big("bets", nullable=False),
    money("bet_turnover", nullable=False),
    big("rebates", nullable=False),
    big("rebates_failed", nullable=False),
    money("rebated_turnover", nullable=False),
    money("paid", nullable=False),
    money("expected", nullable=False),
    money("difference", nullable=False, comment="paid - expected"),
    money("entitled", nullable=False),
    money("overpaid", nullable=False),
    money("underpaid", nullable=False),
    big("unclaimed_bets", nullable=False),
    money("unclaimed_turnover", nullable=False),
    big("matched", nullable=False),
    big("pending", nullable=False),
    big("broken", nullable=False),
    big("unprovable", nullable=False),
    big("run_id", ForeignKey("recon.runs.run_id"), nullable=False),
    schema="recon",
    comment="The daily tie-out: bets by day of settle_time, rebates by the settlement day they name.",
)
