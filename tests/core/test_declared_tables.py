"""The migrations make what ``tieout.core.tables`` declares."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, create_engine

from tieout.core.tables import SCHEMAS, metadata


def test_migrations_make_the_declared_tables(warehouse: URL) -> None:
    engine = create_engine(warehouse)
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, parents: kind != "schema" or name in SCHEMAS,
        "compare_type": True,
    }
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    # What comments say is not compared: an older migration may say it in other words.
    changes = [change for entry in found for change in (entry if isinstance(entry, list) else [entry])]
    assert [change for change in changes if "comment" not in change[0] and "alembic_version" not in str(change)] == []
