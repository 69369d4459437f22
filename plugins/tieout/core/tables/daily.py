"""Daily figures of reconciliation, integrity breaks of single rows, and control totals."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, Identity, Index, Table

from tieout.core.tables import staging
from tieout.core.tables.base import big, flag, ident, instant, metadata, money, number, text

day_sums = Table(
    "day_sums",
    metadata,
    ident("agent", nullable=False),
    Column("day", Date, nullable=False),
    ident("currency", nullable=False),
    ident("game_id", nullable=False),
    ident("user_id", comment="of unclaimed bets only"),
    ident("activity_id", comment="of claimed bets only"),
    flag("is_dated", nullable=False, comment="false: without settle_time, of this day by their bet_time"),
    ident("fate", nullable=False),
    big("bets", nullable=False),
    money("turnover", nullable=False),
    big("run_id", ForeignKey("recon.runs.run_id"), nullable=False),
    CheckConstraint("bets > 0", name="bets"),
    CheckConstraint("fate in ('unclaimed', 'kept', 'to_other_days', 'other_currency')", name="fate"),
    CheckConstraint("(fate = 'unclaimed') = (user_id IS NOT NULL)", name="user"),
    CheckConstraint("(fate = 'unclaimed') = (activity_id IS NULL)", name="activity"),
    # Three ids may be longer than a row of an index: no key over all of them.
    Index("ix_day_sums_day", "agent", "day"),
    schema="recon",
    comment="What became of a day's settled bets that no two rebates name, added up: runs change it by what moved.",
)

bridge = Table(
    "bridge",
    metadata,
    ident("agent", primary_key=True),
    Column("day", Date, primary_key=True),
    ident("currency", primary_key=True),
    money("bet_turnover", nullable=False),
    money("unclaimed", nullable=False, comment="of bets that no successful rebate names"),
    money("claimed_again", nullable=False, comment="every claim but a bet's first, by rebates of the day"),
    money("from_other_days", nullable=False, comment="first claims of the day's rebates on bets of other days"),
    money("to_other_days", nullable=False, comment="of the day's bets that rebates of other days claim first"),
    money("other_currency", nullable=False, comment="of bets that only rebates in another currency name"),
    money("turnover_differences", nullable=False, comment="what rebates state beyond the sum of their bets"),
    money("rebated_turnover", nullable=False),
    money("reused", nullable=False, comment="the part of claimed_again within one activity"),
    big("undated_bets", nullable=False, comment="settled without settle_time: of this day by their bet_time"),
    money("undated_turnover", nullable=False),
    big("run_id", ForeignKey("recon.runs.run_id"), nullable=False),
    CheckConstraint(
        "bet_turnover - unclaimed + claimed_again + from_other_days - to_other_days - other_currency"
        " + turnover_differences = rebated_turnover",
        name="closes",
    ),
    schema="recon",
    comment="How a day's bet turnover becomes its rebated turnover; closes to zero by constraint.",
)

unclaimed = Table(
    "unclaimed",
    metadata,
    ident("agent", primary_key=True),
    Column("day", Date, primary_key=True),
    ident("currency", primary_key=True),
    ident("user_id", primary_key=True),
    big("bets", nullable=False),
    money("turnover", nullable=False),
    big("eligible_bets", nullable=False, comment="those that some activity would have rebated"),
    money("eligible_turnover", nullable=False),
    big("run_id", ForeignKey("recon.runs.run_id"), nullable=False),
    schema="recon",
    comment="Settled turnover that no successful rebate names, per user.",
)

activity_daily = Table(
    "activity_daily",
    metadata,
    ident("agent", primary_key=True),
    Column("day", Date, primary_key=True),
    ident("currency", primary_key=True),
    ident("activity_id", primary_key=True),
    big("eligible_bets", nullable=False),
    money("eligible_turnover", nullable=False),
    big("claimed_bets", nullable=False, comment="eligible bets that the activity's rebates name"),
    money("claimed_turnover", nullable=False),
    money("claim_rate", comment="claimed_turnover / eligible_turnover, six decimals"),
    big("ineligible_bets", nullable=False, comment="bets its rebates name although it does not rebate them"),
    money("ineligible_turnover", nullable=False),
    big("run_id", ForeignKey("recon.runs.run_id"), nullable=False),
    schema="recon",
    comment="What each activity could rebate of a day's settled bets, and what it did.",
)

integrity_breaks = Table(
    "integrity_breaks",
    metadata,
    ident("provider", primary_key=True),
    ident("agent", primary_key=True),
    ident("identity", primary_key=True),
    ident("row_key", primary_key=True, comment="the row's natural key without the agent"),
    ident("feed", nullable=False),
    Column("day", Date, nullable=False, comment="by the day rule of mart.turnover_daily"),
    ident("game_type", nullable=False, comment="HotRoad: gameType, JDB: gType, Lucko: game_id, VertexPlay: gameCode"),
    ident("user_id", nullable=False, comment="empty where the feed has no users"),
    ident("currency", nullable=False),
    money("stated", nullable=False, comment="what the provider states"),
    money("computed", nullable=False, comment="what follows from its other figures"),
    money("difference", nullable=False, comment="stated - computed"),
    text("sentence", nullable=False),
    ident("state", nullable=False),
    instant("opened_at", nullable=False),
    instant("changed_at", nullable=False),
    CheckConstraint("state in ('open', 'healed', 'reopened')", name="state"),
    CheckConstraint("difference = stated - computed", name="difference"),
    Index("ix_integrity_breaks_day", "provider", "agent", "day"),
    schema="recon",
    comment="Rows whose own figures contradict each other: warnings, no breaks of a rebate.",
)

control_totals = Table(
    "control_totals",
    metadata,
    ident("provider", primary_key=True),
    ident("agent", primary_key=True),
    instant("starts_at", primary_key=True),
    instant("ends_at", primary_key=True),
    Column("day", Date, nullable=False),
    ident("state", nullable=False),
    number("games", nullable=False),
    number("differing", nullable=False, comment="figures of games that are not the sum of their hours"),
    number("hours_open", nullable=False, comment="hours of the range without a certified reading"),
    instant("control_read_at", nullable=False),
    instant("hours_read_from", comment="when the oldest of the hours' newest certified readings was made"),
    instant("hours_read_to"),
    text("landing_uri", nullable=False),
    CheckConstraint("state in ('equal', 'differs', 'incomplete')", name="state"),
    CheckConstraint("(state = 'incomplete') = (hours_open > 0)", name="hours_open"),
    CheckConstraint("state <> 'equal' or differing = 0", name="equal"),
    schema="recon",
    comment="A provider's total of a range against the sum of its slices, as compared last.",
)

#: What a load changed is found by its load_id.
LOADED = tuple(
    Index(f"ix_{table.name}_load_id", table.c.load_id)
    for table in (staging.hotroad_summary, staging.jdb_daily, staging.vertexplay_betlogs)
)

statements_due = Table(
    "statements_due",
    metadata,
    big("due_id", Identity(always=True), primary_key=True),
    ident("provider", nullable=False),
    ident("agent", nullable=False),
    Column("day", Date, nullable=False),
    flag("in_trend", nullable=False, comment="what the statements of the following days show of this day changed, too"),
    Index("ix_statements_due_agent", "provider", "agent"),
    schema="recon",
    comment="Statements to be written anew: a row for each change, gone once a statement holds it.",
)
