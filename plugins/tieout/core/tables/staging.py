"""Staging: one table per feed, the provider's fields in snake_case, plus where each row came from.

``reading_id`` and ``load_id`` name the reading and the load that last changed the row; ``first_seen_at`` and
``last_changed_at`` are the request instants of the answers that brought it (the database's clock), so a replay
from landing reproduces rows exactly.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Date, Index, Table

from tieout.core.tables.base import big, flag, ident, instant, jsonb, metadata, money, number


def _provenance() -> list[Column[Any]]:
    return [
        jsonb("extra"),
        ident("reading_id", nullable=False),
        big("load_id", nullable=False),
        instant("first_seen_at", nullable=False),
        instant("last_changed_at", nullable=False),
    ]


def _bet_columns() -> list[Column[Any]]:
    """Return the documented fields of Lucko's 'Query Bet Records', without the free-form details."""
    return [
        ident("agent", primary_key=True),
        ident("id", primary_key=True),
        ident("user_id", nullable=False),
        ident("game_id", nullable=False),
        ident("inst_id"),
        big("shoe_id"),
        big("round_id"),
        instant("bet_time", nullable=False),
        instant("settle_time"),
        money("bet_amount", nullable=False),
        money("real_bet_amount"),
        money("valid_bet_turnover", nullable=False),
        money("win_amount"),
        ident("currency", nullable=False),
        money("real_win_amount"),
        flag("no_comm"),
        instant("create_time"),
        instant("update_time", nullable=False),
        number("status", nullable=False),
    ]


def _rebate_columns() -> list[Column[Any]]:
    """Return the documented fields of Lucko's 'Query Rebate Records'."""
    return [
        ident("agent", primary_key=True),
        ident("id", primary_key=True),
        ident("activity_id", nullable=False),
        ident("user_id", nullable=False),
        instant("date", nullable=False),
        ident("currency", nullable=False),
        money("turnover", nullable=False),
        money("rate", nullable=False),
        money("rebate_amount", nullable=False),
        ident("wallet_txn_id"),
        number("status", nullable=False),
        instant("create_time", nullable=False),
        jsonb("txn_ids", nullable=False),
    ]


lucko_bets = Table(
    "lucko_bets",
    metadata,
    *_bet_columns(),
    jsonb("bet_detail"),
    jsonb("win_detail"),
    jsonb("game_result"),
    jsonb("open_cards"),
    *_provenance(),
    Index("ix_lucko_bets_settled", "agent", "settle_time"),
    Index("ix_lucko_bets_load_id", "load_id"),
    schema="staging",
    comment="Bets of Lucko agents, newest known state; one row per bet id.",
)

lucko_bet_versions = Table(
    "lucko_bet_versions",
    metadata,
    *_bet_columns(),
    instant("pulled_at", primary_key=True),
    ident("reading_id", nullable=False),
    big("load_id", nullable=False),
    # Versions are only ever added: those of one load stand together.
    Index(
        "ix_lucko_bet_versions_load_id",
        "load_id",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    ),
    schema="staging",
    comment="Every state of a bet that was ever read, the current one included.",
)

lucko_rebates = Table(
    "lucko_rebates",
    metadata,
    *_rebate_columns(),
    *_provenance(),
    Index("ix_lucko_rebates_agent_date", "agent", "date", "user_id"),
    Index("ix_lucko_rebates_wallet", "agent", "wallet_txn_id"),
    Index("ix_lucko_rebates_load_id", "load_id"),
    schema="staging",
    comment="Rebates of Lucko agents, newest known state; one row per rebate id.",
)

lucko_rebate_versions = Table(
    "lucko_rebate_versions",
    metadata,
    *_rebate_columns(),
    instant("pulled_at", primary_key=True),
    ident("reading_id", nullable=False),
    big("load_id", nullable=False),
    schema="staging",
    comment="Every state of a rebate that was ever read, the current one included.",
)

lucko_rebate_bets = Table(
    "lucko_rebate_bets",
    metadata,
    ident("agent", primary_key=True),
    ident("rebate_id", primary_key=True),
    ident("bet_id", primary_key=True),
    number("times", nullable=False, comment="how often the rebate's txn_ids names the bet"),
    big("load_id", nullable=False),
    Index("ix_lucko_rebate_bets_agent_bet_id", "agent", "bet_id"),
    schema="staging",
    comment="Distinct bet ids named by each rebate (txn_ids).",
)

hotroad_summary = Table(
    "hotroad_summary",
    metadata,
    ident("agent", primary_key=True),
    instant("hour_start", primary_key=True),
    ident("game_type", primary_key=True),
    ident("game_code", primary_key=True),
    ident("currency", nullable=False),
    money("bet_amount", nullable=False),
    money("real_credit"),
    money("free_credit"),
    money("promotion_credit"),
    money("win_loss", nullable=False),
    money("win_amount", nullable=False),
    money("valid_bet", nullable=False),
    money("commission"),
    instant("retired_at"),
    *_provenance(),
    schema="staging",
    comment="HotRoad's totals per bet hour and game; retired_at: the row vanished from a newer reading.",
)

jdb_daily = Table(
    "jdb_daily",
    metadata,
    ident("agent", primary_key=True),
    Column("report_date", Date, primary_key=True),
    ident("g_type", primary_key=True),
    ident("uid", primary_key=True),
    ident("currency", nullable=False),
    money("bet", nullable=False),
    money("win", nullable=False),
    money("net_win", nullable=False),
    money("jackpot"),
    money("jackpot_contribute"),
    big("count"),
    money("valid_bet", nullable=False),
    money("tax"),
    instant("retired_at"),
    *_provenance(),
    schema="staging",
    comment="JDB's totals per Beijing noon-to-noon day, game type and player; bets are negative as delivered.",
)

vertexplay_betlogs = Table(
    "vertexplay_betlogs",
    metadata,
    ident("agent", primary_key=True),
    ident("bet_key", primary_key=True, comment="bet:<betId>, or transfer:<transferId> for rows without a betId"),
    ident("bet_id"),
    ident("transfer_id", nullable=False),
    ident("round_id", nullable=False),
    instant("bet_time", nullable=False),
    instant("tx_time", nullable=False),
    ident("currency", nullable=False),
    ident("brand"),
    ident("game_code", nullable=False),
    ident("username", nullable=False),
    number("bet_status", nullable=False),
    money("actual_bet_amt", nullable=False),
    money("valid_bet_amt", nullable=False),
    money("win_amt", nullable=False),
    money("jackpot_win"),
    money("jackpot_contribute"),
    number("bet_source_id"),
    *_provenance(),
    Index("ix_vertexplay_betlogs_agent_transfer_id", "agent", "transfer_id"),
    Index("ix_vertexplay_betlogs_agent_bet_time", "agent", "bet_time"),
    schema="staging",
    comment="VertexPlay's bet logs, newest known state; one row per bet_key.",
)
