"""Alembic's environment: the connection is handed in by ``tieout.migrations.upgrade``."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import text

from tieout.core.tables import SCHEMAS, metadata


def include_name(name: str | None, type_: str, parent_names: Any) -> bool:
    """Look at tieout's schemas only: the database may be shared."""
    if type_ == "schema":
        return name in SCHEMAS
    return name != "alembic_version"


connection = context.config.attributes["connection"]
for schema in SCHEMAS:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_schemas=True,
    include_name=include_name,
    version_table_schema="ops",
    compare_type=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
