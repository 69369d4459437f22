"""Every table of the warehouse, declared once; Alembic's migrations are checked against these declarations."""

from tieout.core.tables import daily, mart, ops, recon, staging
from tieout.core.tables.base import SCHEMAS, metadata

__all__ = ["SCHEMAS", "daily", "mart", "metadata", "ops", "recon", "staging"]
