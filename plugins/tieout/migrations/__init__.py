"""Migrations of the warehouse, run with ``python -m tieout migrate``."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine

from tieout.core.warehouse import normalise_url


def alembic_config() -> Config:
    """Return Alembic's configuration without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Bring the warehouse to *revision*; doing it twice changes nothing. Several callers wait for each other."""
    engine = create_engine(normalise_url(url))
    config = alembic_config()
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('tieout:migrate', 0))")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
