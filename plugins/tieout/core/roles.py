"""The reader: a database role that may read every table and view of the warehouse and do nothing else.

What it may not do is left out or taken away, not switched off: a read-only session is a default that a client can
change. ``grant_reader`` therefore looks at what the role can do in the end, by whatever way, and refuses to leave it
half done.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from tieout.core.errors import ConfigError
from tieout.core.tables import SCHEMAS

DEFAULT_ROLE = "tieout_reader"
#: Defaults of the role's sessions, against accidents: a forgotten query or transaction holds vacuum and migrations up.
SESSION_SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "10min",
}

_AS_ADMINISTRATOR = (
    "Run it as an administrator of the database server: "
    "TIEOUT_WAREHOUSE_URL=postgresql://<administrator>@<host>/<database> python -m tieout grant-reader."
)

# Every way in which the role, or a role it can become, could change something; one row per finding.
_CAN_STILL = """
WITH me AS (SELECT oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
            FROM pg_roles WHERE pg_has_role(%(role)s, oid, 'MEMBER')),
     ours AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = ANY(%(schemas)s)),
     others AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
SELECT 'is, or may become, the superuser or administrator ' || rolname FROM me
WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
UNION ALL
SELECT 'may create schemas in the database' FROM me
WHERE has_database_privilege(me.oid, current_database(), 'CREATE')
UNION ALL
SELECT 'may create temporary tables in the database' FROM me
WHERE has_database_privilege(me.oid, current_database(), 'TEMPORARY')
UNION ALL
SELECT 'may create objects in schema ' || nspname FROM me, others
WHERE has_schema_privilege(me.oid, others.oid, 'CREATE')
UNION ALL
SELECT 'may write to ' || c.oid::regclass FROM me, ours JOIN pg_class c ON c.relnamespace = ours.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (has_table_privilege(me.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
       OR has_any_column_privilege(me.oid, c.oid, 'INSERT, UPDATE, REFERENCES'))
UNION ALL
SELECT 'may advance the sequence ' || c.oid::regclass FROM me, ours JOIN pg_class c ON c.relnamespace = ours.oid
WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(me.oid, c.oid, 'USAGE, UPDATE') ELSE false END
UNION ALL
SELECT 'may run ' || p.oid::regprocedure || ' with its owner''s rights' FROM me, others
JOIN pg_proc p ON p.pronamespace = others.oid
WHERE p.prosecdef AND has_function_privilege(me.oid, p.oid, 'EXECUTE')
"""

_CANNOT_READ = """
SELECT c.oid::regclass::text FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT (has_schema_privilege(%(role)s, n.oid, 'USAGE') AND has_table_privilege(%(role)s, c.oid, 'SELECT'))
"""


def grant_reader(connection: psycopg.Connection, role: str = DEFAULT_ROLE) -> bool:
    """Let *role* read everything and nothing else; it is created without login when it does not exist.

    Returns whether it was created. Doing it again changes nothing; do it again after the tables' owner has changed.
    All or nothing, in one transaction. Raises ConfigError: the connected user may not do it, the tables are not there,
    or the role would still be able to change something.
    """
    names = {"role": role, "schemas": list(SCHEMAS)}
    with connection.transaction():
        # Two at a time would trip over each other's grants; migrations take the same lock.
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('tieout:migrate', 0))")
        owners = _owners(connection)
        user = str(_value(connection, "SELECT current_user"))
        _check_suitable(role, user, owners)
        try:
            created = _create(connection, role)
            _grant(connection, role, owners)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigError(
                f"the user {user!r} may not make {role!r} a reader: {error.diag.message_primary}.",
                advice=_AS_ADMINISTRATOR,
            ) from None
        _verify(connection, role, names)
    return created


def _owners(connection: psycopg.Connection) -> list[str]:
    """Return who owns the schemas and what is in them: whoever makes tables there."""
    rows = connection.execute(
        """SELECT n.nspname, pg_get_userbyid(n.nspowner),
                  array(SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.relnamespace = n.oid)
           FROM pg_namespace n WHERE n.nspname = ANY(%s)""",
        (list(SCHEMAS),),
    ).fetchall()
    missing = sorted(set(SCHEMAS) - {row[0] for row in rows})
    if missing:
        raise ConfigError(
            f"the database has no schema {', '.join(missing)}.",
            advice="Run python -m tieout migrate first, or check which database the command was given.",
        )
    return sorted({row[1] for row in rows} | {owner for row in rows for owner in row[2]})


def _check_suitable(role: str, user: str, owners: list[str]) -> None:
    if role in (*owners, user):
        raise ConfigError(
            f"the role {role!r} owns the tables or is the connected user: as a reader it could no longer load them.",
            advice="Name another role with --role.",
        )
    if not 0 < len(role.encode()) < 64 or role.startswith("pg_") or role in ("public", "none") or "\0" in role:
        raise ConfigError(f"{role!r} cannot be the name of a role.", advice="Name another one with --role.")


def _create(connection: psycopg.Connection, role: str) -> bool:
    if _value(connection, "SELECT count(*) FROM pg_roles WHERE rolname = %s", role):
        return False
    connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    return True


def _grant(connection: psycopg.Connection, role: str, owners: list[str]) -> None:
    reader = sql.Identifier(role)
    database = sql.Identifier(connection.info.dbname)
    for name, value in SESSION_SETTINGS.items():
        _run(connection, "ALTER ROLE {} SET {} = {}", reader, sql.Identifier(name), sql.Literal(value))
    _run(connection, "REVOKE ALL ON DATABASE {} FROM {}", database, reader)
    _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, reader)
    # Everybody may make temporary tables unless told otherwise; loads need them.
    writers = sql.SQL(", ").join(map(sql.Identifier, owners))
    _run(connection, "GRANT TEMPORARY ON DATABASE {} TO {}", database, writers)
    _run(connection, "REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC", database)
    for schema in map(sql.Identifier, SCHEMAS):
        _run(connection, "REVOKE ALL ON SCHEMA {} FROM {}", schema, reader)
        for kind in ("TABLES", "SEQUENCES", "ROUTINES"):
            _run(connection, f"REVOKE ALL ON ALL {kind} IN SCHEMA {{}} FROM {{}}", schema, reader)
        _run(connection, "GRANT USAGE ON SCHEMA {} TO {}", schema, reader)
        _run(connection, "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}", schema, reader)
        for owner in map(sql.Identifier, owners):
            future = "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT SELECT ON TABLES TO {}"
            _run(connection, future, owner, schema, reader)


def _verify(connection: psycopg.Connection, role: str, names: dict[str, Any]) -> None:
    can_still = _first(connection.execute(_CAN_STILL, names).fetchall())
    cannot_read = _first(connection.execute(_CANNOT_READ, names).fetchall())
    if can_still:
        raise ConfigError(
            f"nothing was granted: the role {role!r} would be more than a reader, it {can_still}.",
            advice="Take these rights from it, from the roles it is a member of, or from PUBLIC. " + _AS_ADMINISTRATOR,
        )
    if cannot_read:
        raise ConfigError(f"nothing was granted: {role!r} could not read {cannot_read}.", advice=_AS_ADMINISTRATOR)


def _first(rows: Iterable[tuple[Any, ...]], count: int = 5) -> str:
    found = list(dict.fromkeys(str(row[0]) for row in rows))
    more = f", and {len(found) - count} more" if len(found) > count else ""
    return ", ".join(found[:count]) + more


def _value(connection: psycopg.Connection, query: LiteralString, *parameters: str) -> Any:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def _run(connection: psycopg.Connection, statement: LiteralString, *names: sql.Composable) -> None:
    connection.execute(sql.SQL(statement).format(*names))
