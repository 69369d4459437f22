"""Column types and helpers the table declarations share.

Money is ``numeric`` without a scale (a provider's digits are kept as they came), instants are ``timestamptz``,
identifiers are ``text COLLATE "C"``: opaque, compared byte by byte, cheap to index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB

SCHEMAS = ("staging", "ops", "recon", "mart")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def ident(name: str, **kwargs: Any) -> Column[str]:
    """Return a column for an opaque identifier or code."""
    return Column(name, Text(collation="C"), **kwargs)


def text(name: str, **kwargs: Any) -> Column[str]:
    """Return a column for prose."""
    return Column(name, Text, **kwargs)


def money(name: str, **kwargs: Any) -> Column[Any]:
    """Return a column for an exact decimal amount."""
    return Column(name, Numeric, **kwargs)


def instant(name: str, **kwargs: Any) -> Column[Any]:
    """Return a column for an aware instant."""
    return Column(name, DateTime(timezone=True), **kwargs)


def number(name: str, **kwargs: Any) -> Column[int]:
    """Return a column for a count or small code."""
    return Column(name, Integer, **kwargs)


def big(name: str, *args: Any, **kwargs: Any) -> Column[int]:
    """Return a column for a 64-bit integer."""
    return Column(name, BigInteger, *args, **kwargs)


def flag(name: str, **kwargs: Any) -> Column[bool]:
    """Return a boolean column."""
    return Column(name, Boolean, **kwargs)


def jsonb(name: str, **kwargs: Any) -> Column[Any]:
    """Return a column for JSON whose numbers stay exact."""
    return Column(name, JSONB(none_as_null=True), **kwargs)
