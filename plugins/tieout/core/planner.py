"""What PostgreSQL's planner is told: fresh statistics where stale ones mislead, and settings for one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql


@contextmanager
def planned_with(connection: psycopg.Connection, **settings: str) -> Iterator[None]:
    """Have the planner work with other *settings* meanwhile, within the open transaction."""
    for name, value in settings.items():
        connection.execute(sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    yield
    for name in settings:
        connection.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))


def analyze_misleading(connection: psycopg.Connection, tables: Iterable[str]) -> None:
    """Analyse those of the *tables* (qualified names) whose statistics say less than one row a page.

    A table that was analysed while its first load was under way counts as empty from then on, however large: any index
    seems as good as the key's, and each row that comes is compared with all of an agent's, for hours.
    """
    _analyze(
        connection,
        """SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
           WHERE c.oid = ANY(%s::regclass[]) AND c.reltuples >= 0
             AND c.reltuples < pg_relation_size(c.oid) / current_setting('block_size')::int
           ORDER BY c.oid""",
        tables,
    )


def analyze_grown(connection: psycopg.Connection, tables: Sequence[str]) -> None:
    """Analyse those of the *tables* (qualified names) that have grown since the planner last looked.

    Right after a large load, before autovacuum comes round, it would take them for empty and join them row by row:
    hours instead of seconds.
    """
    analyze_misleading(connection, tables)
    _analyze(
        connection,
        """SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
           LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
           WHERE c.oid = ANY(%s::regclass[]) AND (
               c.reltuples < 0
               OR pg_relation_size(c.oid) > 1.2 * c.relpages * current_setting('block_size')::int
               OR s.n_mod_since_analyze > 0.1 * s.n_live_tup)
           ORDER BY c.oid""",
        tables,
    )


def _analyze(connection: psycopg.Connection, which: LiteralString, tables: Iterable[str]) -> None:
    for schema, name in connection.execute(which, (list(tables),)).fetchall():
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, name)))
