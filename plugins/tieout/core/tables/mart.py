"""Marts: what analysts join, one form over all providers."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, Index, Table
from sqlalchemy import text as sql

from tieout.core.tables.base import big, ident, instant, jsonb, metadata, money

turnover_daily = Table(
    "turnover_daily",
    metadata,
    ident("provider", nullable=False),
    ident("agent", nullable=False),
    Column("day", Date, nullable=False),
    ident("day_rule", nullable=False, comment="which instant, in which timezone, decides the day"),
    ident("user_id", nullable=False, comment="empty where the feed has no users"),
    ident("currency", nullable=False),
    ident("game", nullable=False),
    big("bets"),
    money("turnover", nullable=False),
    money("win_loss", nullable=False, comment="the player's net"),
    money("rebate", nullable=False),
    CheckConstraint("turnover >= 0", name="turnover"),
    # Hashes of what providers choose: three ids of 255 characters each are longer than a row of an index may be.
    Index(
        "uq_turnover_daily",
        "provider",
        "agent",
        "day",
        "day_rule",
        sql("md5(user_id)"),
        sql("md5(currency)"),
        sql("md5(game)"),
        unique=True,
    ),
    schema="mart",
    comment="Turnover per provider, agent, day, user, currency and game.",
)

refreshes = Table(
    "refreshes",
    metadata,
    ident("provider", primary_key=True),
    ident("agent", primary_key=True),
    jsonb("settings", nullable=False, comment="with others, every day is rebuilt"),
    instant("refreshed_at", nullable=False),
    schema="mart",
    comment="The settings each agent's mart was last built with.",
)

inputs = Table(
    "inputs",
    metadata,
    ident("provider", primary_key=True),
    ident("agent", primary_key=True),
    big("load_id", primary_key=True),
    schema="mart",
    comment="The loads that an agent's mart has taken in.",
)
