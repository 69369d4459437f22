"""The bridge, unclaimed turnover, claim rates, integrity breaks, control totals, and what the mart has taken in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LOADED = ("hotroad_summary", "jdb_daily", "vertexplay_betlogs")

HASHED = ("user_id", "currency", "game")

TURNOVER_BY_USER = """
CREATE VIEW mart.turnover_by_user AS
SELECT
    agent,
    user_id,
    day,
    currency,
    array_agg(DISTINCT provider ORDER BY provider) AS providers,
    array_agg(DISTINCT day_rule ORDER BY day_rule) AS day_rules,
    sum(bets) AS bets,
    sum(turnover) AS turnover,
    sum(win_loss) AS win_loss,
    sum(rebate) AS rebate
FROM mart.turnover_daily
WHERE user_id <> ''
GROUP BY agent, user_id, day, currency
"""

IS_SWITCHED_OFF = """
CREATE FUNCTION recon.is_switched_off(settings jsonb, identity text, game_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(settings -> 'switched_off' -> identity ?| ARRAY[game_type, '*'], FALSE)
"""


def ident(name: str, *, key: bool = False, comment: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), primary_key=key, nullable=False, comment=comment)


def day(*, key: bool = False, comment: str | None = None) -> sa.Column[object]:
    return sa.Column("day", sa.Date, primary_key=key, nullable=False, comment=comment)


def money(name: str, *, null: bool = False, comment: str | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.Numeric, nullable=null, comment=comment)


def big(name: str, *, key: bool = False, comment: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=key, autoincrement=False, nullable=False, comment=comment)


def number(name: str, *, comment: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, comment=comment)


def instant(name: str, *, key: bool = False, null: bool = False, comment: str | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), primary_key=key, nullable=null, comment=comment)


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def run_id() -> sa.Column[int]:
    return sa.Column("run_id", sa.BigInteger, sa.ForeignKey("recon.runs.run_id"), nullable=False)


def upgrade() -> None:
    _daily_figures()
    _integrity()
    _mart()
    for table in LOADED:
        op.create_index(f"ix_{table}_load_id", table, ["load_id"], schema="staging")


def _daily_figures() -> None:
    op.create_table(
        "bridge",
        ident("agent", key=True),
        day(key=True),
        ident("currency", key=True),
        money("bet_turnover"),
        money("unclaimed", comment="of bets that no successful rebate names"),
        money("claimed_again", comment="every claim but a bet's first, by rebates of the day"),
        money("from_other_days", comment="first claims of the day's rebates on bets of other days"),
        money("to_other_days", comment="of the day's bets that rebates of other days claim first"),
        money("other_currency", comment="of bets that only rebates in another currency name"),
        money("turnover_differences", comment="what rebates state beyond the sum of their bets"),
        money("rebated_turnover"),
        money("reused", comment="the part of claimed_again within one activity"),
        big("undated_bets", comment="settled without settle_time: of this day by their bet_time"),
        money("undated_turnover"),
        run_id(),
        sa.CheckConstraint(
            "bet_turnover - unclaimed + claimed_again + from_other_days - to_other_days - other_currency"
            " + turnover_differences = rebated_turnover",
            name="closes",
        ),
        schema="recon",
        comment="How a day's bet turnover becomes its rebated turnover; closes to zero by constraint.",
    )
    op.create_table(
        "shared_bets",
        ident("agent", key=True),
        ident("bet_id", key=True),
        schema="recon",
        comment="Bets that several rebates name, or once named: each is looked at one by one.",
    )
    # Of loads that runs have consumed already.
    op.execute(
        "INSERT INTO recon.shared_bets (agent, bet_id)"
        " SELECT agent, bet_id FROM staging.lucko_rebate_bets GROUP BY agent, bet_id HAVING count(*) > 1"
    )
    op.create_table(
        "unclaimed",
        ident("agent", key=True),
        day(key=True),
        ident("currency", key=True),
        ident("user_id", key=True),
        big("bets"),
        money("turnover"),
        big("eligible_bets", comment="those that some activity would have rebated"),
        money("eligible_turnover"),
        run_id(),
        schema="recon",
        comment="Settled turnover that no successful rebate names, per user.",
    )
    op.create_table(
        "activity_daily",
        ident("agent", key=True),
        day(key=True),
        ident("currency", key=True),
        ident("activity_id", key=True),
        big("eligible_bets"),
        money("eligible_turnover"),
        big("claimed_bets", comment="eligible bets that the activity's rebates name"),
        money("claimed_turnover"),
        money("claim_rate", null=True, comment="claimed_turnover / eligible_turnover, six decimals"),
        big("ineligible_bets", comment="bets its rebates name although it does not rebate them"),
        money("ineligible_turnover"),
        run_id(),
        schema="recon",
        comment="What each activity could rebate of a day's settled bets, and what it did.",
    )


def _integrity() -> None:
    op.create_table(
        "integrity_breaks",
        ident("provider", key=True),
        ident("agent", key=True),
        ident("identity", key=True),
        ident("row_key", key=True, comment="the row's natural key without the agent"),
        ident("feed"),
        day(comment="by the day rule of mart.turnover_daily"),
        ident("game_type", comment="HotRoad: gameType, JDB: gType, Lucko: game_id, VertexPlay: gameCode"),
        ident("user_id", comment="empty where the feed has no users"),
        ident("currency"),
        money("stated", comment="what the provider states"),
        money("computed", comment="what follows from its other figures"),
        money("difference", comment="stated - computed"),
        text("sentence"),
        ident("state"),
        instant("opened_at"),
        instant("changed_at"),
        sa.CheckConstraint("state in ('open', 'healed', 'reopened')", name="state"),
        sa.CheckConstraint("difference = stated - computed", name="difference"),
        schema="recon",
        comment="Rows whose own figures contradict each other: warnings, no breaks of a rebate.",
    )
    op.create_index("ix_integrity_breaks_day", "integrity_breaks", ["provider", "agent", "day"], schema="recon")
    op.create_table(
        "control_totals",
        ident("provider", key=True),
        ident("agent", key=True),
        instant("starts_at", key=True),
        instant("ends_at", key=True),
        day(),
        ident("state"),
        number("games"),
        number("differing", comment="figures of games that are not the sum of their hours"),
        number("hours_open", comment="hours of the range without a certified reading"),
        instant("control_read_at"),
        instant(
            "hours_read_from", null=True, comment="when the oldest of the hours' newest certified readings was made"
        ),
        instant("hours_read_to", null=True),
        text("landing_uri"),
        sa.CheckConstraint("state in ('equal', 'differs', 'incomplete')", name="state"),
        sa.CheckConstraint("(state = 'incomplete') = (hours_open > 0)", name="hours_open"),
        sa.CheckConstraint("state <> 'equal' or differing = 0", name="equal"),
        schema="recon",
        comment="A provider's total of a range against the sum of its slices, as compared last.",
    )


def _mart() -> None:
    op.execute(IS_SWITCHED_OFF)
    # Three ids of 255 characters each are longer than a row of an index may be: unique by their hashes.
    op.drop_constraint("pk_turnover_daily", "turnover_daily", schema="mart")
    op.create_index(
        "uq_turnover_daily",
        "turnover_daily",
        ["provider", "agent", "day", "day_rule", *(sa.text(f"md5({name})") for name in HASHED)],
        unique=True,
        schema="mart",
    )
    op.create_table(
        "refreshes",
        ident("provider", key=True),
        ident("agent", key=True),
        sa.Column(
            "settings", postgresql.JSONB(none_as_null=True), nullable=False, comment="with others, every day is rebuilt"
        ),
        instant("refreshed_at"),
        schema="mart",
        comment="The settings each agent's mart was last built with.",
    )
    op.create_table(
        "inputs",
        ident("provider", key=True),
        ident("agent", key=True),
        big("load_id", key=True),
        schema="mart",
        comment="The loads that an agent's mart has taken in.",
    )
    op.execute(TURNOVER_BY_USER)
    op.execute(
        "COMMENT ON VIEW mart.turnover_by_user IS 'Turnover of a user and day over all providers that report users'"
    )


def downgrade() -> None:
    for table in LOADED:
        op.drop_index(f"ix_{table}_load_id", table, schema="staging")
    op.execute("DROP VIEW mart.turnover_by_user")
    op.drop_index("uq_turnover_daily", "turnover_daily", schema="mart")
    op.create_primary_key(
        "pk_turnover_daily",
        "turnover_daily",
        ["provider", "agent", "day", "day_rule", *HASHED],
        schema="mart",
    )
    op.execute("DROP FUNCTION recon.is_switched_off(jsonb, text, text)")
    for schema, table in (
        ("mart", "inputs"), ("mart", "refreshes"), ("recon", "control_totals"), ("recon", "integrity_breaks"),
        ("recon", "activity_daily"), ("recon", "unclaimed"), ("recon", "shared_bets"), ("recon", "bridge"),
    ):  # fmt: skip
        op.drop_table(table, schema=schema)
