"""``python -m tieout grant-reader``: a role that sees everything of the warehouse and can change nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL

import tieout.__main__
from demo.postgres import EmbeddedPostgres
from tieout.core.errors import ConfigError
from tieout.core.roles import DEFAULT_ROLE, SESSION_SETTINGS, grant_reader
from tieout.core.tables import SCHEMAS
from tieout.core.warehouse import connect
from tieout.migrations import upgrade

RELATIONS = """
SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm')"""

COLUMN = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND attidentity = '' ORDER BY attnum LIMIT 1"""


@pytest.fixture
def name(postgres: EmbeddedPostgres) -> Iterator[Callable[[str], str]]:
    """Names of roles that are the test's own and go when it ends."""
    suffix = uuid.uuid4().hex[:8]
    made: set[str] = set()

    def of(stem: str) -> str:
        made.add(f"{stem}_{suffix}")
        return f"{stem}_{suffix}"

    yield of
    with connect(postgres.url("postgres"), autocommit=True) as server:
        for role in made:
            if server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture
def warehouse(postgres: EmbeddedPostgres, template: str, name: Callable[[str], str]) -> Iterator[URL]:
    """The URL of a warehouse that goes before its roles do."""
    database = name("reader_tests")
    postgres.create_database(database, template=template)
    yield postgres.url(database)
    postgres.drop_database(database)


@pytest.fixture
def admin(warehouse: URL) -> Iterator[psycopg.Connection]:
    with connect(warehouse, autocommit=True) as connection:
        yield connection


def login(admin: psycopg.Connection, role: str, *more: str) -> None:
    """Give *role* a login, making it when it does not exist."""
    known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    statement = f"{'ALTER' if known else 'CREATE'} ROLE {{}} LOGIN {' '.join(more)}"
    admin.execute(sql.SQL(statement).format(sql.Identifier(role)))


def refused(connection: psycopg.Connection, statement: str, *names: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def test_the_reader_sees_every_table_and_changes_none(
    warehouse: URL, admin: psycopg.Connection, name: Callable[[str], str]
) -> None:
    role = name("reader")
    assert grant_reader(admin, role) is True
    assert grant_reader(admin, role) is False
    login(admin, role)
    relations = admin.execute(RELATIONS, (list(SCHEMAS),)).fetchall()
    assert len(relations) > 20
    assert {schema for schema, _, _ in relations} == set(SCHEMAS)
    with connect(warehouse.set(username=role), autocommit=True) as reader:
        for schema, table, _ in relations:
            reader.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(schema, table)))
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("DELETE FROM ops.readings")
        # What was only a default of the session is no more; what is left is what it may do.
        reader.execute("SET default_transaction_read_only = off")
        for schema, table, kind in relations:
            if kind != "r":
                # Views over several tables take nothing from anybody.
                with pytest.raises(psycopg.Error):
                    reader.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, table)))
                continue
            (column,) = admin.execute(COLUMN, (f"{schema}.{table}",)).fetchone() or ("",)
            refused(reader, "INSERT INTO {}.{} DEFAULT VALUES", schema, table)
            refused(reader, "UPDATE {}.{} SET {} = NULL", schema, table, column)
            refused(reader, "DELETE FROM {}.{}", schema, table)
            refused(reader, "TRUNCATE {}.{}", schema, table)
            refused(reader, "SELECT FROM {}.{} FOR UPDATE", schema, table)
            refused(reader, "CREATE INDEX ON {}.{} ({})", schema, table, column)
            refused(reader, "ALTER TABLE {}.{} ADD COLUMN mine int", schema, table)
            refused(reader, "DROP TABLE {}.{}", schema, table)


def test_the_reader_makes_nothing(warehouse: URL, admin: psycopg.Connection, name: Callable[[str], str]) -> None:
    role = name("reader")
    grant_reader(admin, role)
    login(admin, role)
    with connect(warehouse.set(username=role), autocommit=True) as reader:
        reader.execute("SET default_transaction_read_only = off")
        for schema in (*SCHEMAS, "public"):
            refused(reader, "CREATE TABLE {}.mine (x int)", schema)
            refused(reader, "CREATE FUNCTION {}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", schema)
        refused(reader, "CREATE TEMP TABLE mine (x int)")
        refused(reader, "CREATE SCHEMA mine")
        refused(reader, "CREATE ROLE mine")
        refused(reader, "ALTER ROLE postgres NOLOGIN")
        refused(reader, "SET ROLE postgres")
        for (sequence,) in admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'S' AND relnamespace = 'ops'::regnamespace"
        ).fetchall():
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("SELECT nextval(%s)", (sequence,))


def test_its_sessions_are_bounded(warehouse: URL, admin: psycopg.Connection, name: Callable[[str], str]) -> None:
    role = name("reader")
    grant_reader(admin, role)
    login(admin, role)
    with connect(warehouse.set(username=role), autocommit=True) as reader:
        shown = {}
        for setting in SESSION_SETTINGS:
            row = reader.execute(sql.SQL("SHOW {}").format(sql.Identifier(setting))).fetchone()
            assert row is not None
            shown[setting] = row[0]
    assert shown == SESSION_SETTINGS


def test_tables_of_later_migrations_can_be_read(
    warehouse: URL, admin: psycopg.Connection, name: Callable[[str], str]
) -> None:
    role = name("reader")
    grant_reader(admin, role)
    login(admin, role)
    for schema in SCHEMAS:
        admin.execute(sql.SQL("CREATE TABLE {}.later (x int)").format(sql.Identifier(schema)))
        admin.execute(sql.SQL("CREATE VIEW {0}.later_seen AS SELECT * FROM {0}.later").format(sql.Identifier(schema)))
    with connect(warehouse.set(username=role), autocommit=True) as reader:
        reader.execute("SET default_transaction_read_only = off")
        for schema in SCHEMAS:
            reader.execute(sql.SQL("SELECT * FROM {}.later_seen").format(sql.Identifier(schema)))
            refused(reader, "INSERT INTO {}.later VALUES (1)", schema)


def test_an_existing_role_becomes_a_reader_and_loses_what_it_had(
    warehouse: URL, admin: psycopg.Connection, name: Callable[[str], str]
) -> None:
    role = name("analyst")
    login(admin, role)
    for schema in SCHEMAS:
        own = sql.Identifier(schema), sql.Identifier(role)
        admin.execute(sql.SQL("GRANT ALL ON SCHEMA {} TO {}").format(*own))
        admin.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA {} TO {}").format(*own))
    admin.execute(
        sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(sql.Identifier(str(warehouse.database)), sql.Identifier(role))
    )
    assert grant_reader(admin, role) is False
    with connect(warehouse.set(username=role), autocommit=True) as reader:
        reader.execute("SET default_transaction_read_only = off")
        reader.execute("SELECT count(*) FROM ops.readings")
        refused(reader, "DELETE FROM ops.readings")
        refused(reader, "CREATE TABLE ops.mine (x int)")
        refused(reader, "CREATE TEMP TABLE mine (x int)")


@pytest.mark.parametrize("more", ["SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"])
def test_a_role_that_could_still_change_something_is_refused(
    more: str, admin: psycopg.Connection, name: Callable[[str], str]
) -> None:
    role = name("mighty")
    login(admin, role, more)
    with pytest.raises(ConfigError, match=f"more than a reader, it is, or may become, .*{role}"):
        grant_reader(admin, role)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("GRANT {writer} TO {role}", "may write to ops.agents"),
        ("GRANT {writer} TO {role} WITH INHERIT FALSE", "may write to ops.agents"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "may create objects in schema public"),
        ("GRANT UPDATE (reason) ON ops.readings TO PUBLIC", "may write to ops.readings"),
        ("GRANT TRUNCATE ON staging.lucko_bets TO PUBLIC", "may write to staging.lucko_bets"),
        ("GRANT USAGE ON ALL SEQUENCES IN SCHEMA ops TO PUBLIC", "may advance the sequence ops."),
        (
            "CREATE FUNCTION ops.wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM ops.readings'",
            "may run ops.wipe() with its owner's rights",
        ),
    ],
)  # fmt: skip
def test_what_others_give_it_is_found_and_nothing_is_granted(
    given: str, says: str, warehouse: URL, admin: psycopg.Connection, name: Callable[[str], str]
) -> None:
    role, writer = name("reader"), name("writer")
    for one in (role, writer):
        login(admin, one)
    admin.execute(sql.SQL("GRANT INSERT ON ops.agents TO {}").format(sql.Identifier(writer)))
    admin.execute(sql.SQL(given).format(role=sql.Identifier(role), writer=sql.Identifier(writer)))  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        grant_reader(admin, role)
    assert f"nothing was granted: the role {role!r} would be more than a reader, it " in str(caught.value)
    assert says in str(caught.value)
    with connect(warehouse.set(username=role), autocommit=True) as reader:
        refused(reader, "SELECT count(*) FROM staging.jdb_daily")
    admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(writer)))


def test_the_owner_of_the_tables_is_no_reader(
    postgres: EmbeddedPostgres, admin: psycopg.Connection, name: Callable[[str], str]
) -> None:
    owner = name("owner")
    login(admin, owner)
    admin.execute(sql.SQL("ALTER TABLE ops.readings OWNER TO {}").format(sql.Identifier(owner)))
    for role in (owner, "postgres"):
        with pytest.raises(ConfigError, match=f"{role!r} owns the tables or is the connected user"):
            grant_reader(admin, role)


@pytest.mark.parametrize("role", ["", "public", "none", "pg_reader", "x" * 64])
def test_names_that_no_role_can_have(role: str, admin: psycopg.Connection) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a role"):
        grant_reader(admin, role)


def test_a_name_is_quoted(admin: psycopg.Connection, name: Callable[[str], str]) -> None:
    role = name('rea"der; DROP TABLE ops.readings; --')
    assert grant_reader(admin, role) is True
    assert admin.execute("SELECT to_regclass('ops.readings') IS NOT NULL").fetchone() == (True,)


def test_a_database_without_the_tables_is_said_to_be_one(postgres: EmbeddedPostgres) -> None:
    with (
        connect(postgres.url("postgres")) as connection,
        pytest.raises(ConfigError, match="no schema mart, ops, recon"),
    ):
        grant_reader(connection)


@pytest.fixture
def owned(postgres: EmbeddedPostgres, name: Callable[[str], str]) -> Iterator[URL]:
    """The URL of a warehouse whose tables and database belong to an ordinary user, as whom it is used."""
    writer, database = name("tieout"), name("owned")
    with connect(postgres.url("postgres"), autocommit=True) as server:
        login(server, writer)
        server.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(writer))
        )  # fmt: skip
    url = postgres.url(database).set(username=writer)
    upgrade(url)
    yield url
    postgres.drop_database(database)


def test_who_may_not_make_roles_is_told_what_to_do(
    owned: URL, name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = owned.render_as_string(hide_password=False)
    assert tieout.__main__.main(["--warehouse", text, "grant-reader", "--role", name("reader")]) == 2
    said = capsys.readouterr().err
    assert f"the user {owned.username!r} may not make" in said
    assert "Run it as an administrator of the database server: TIEOUT_WAREHOUSE_URL=" in said
    assert "Traceback" not in said


def test_an_administrator_makes_the_reader_of_another_users_tables(
    owned: URL, postgres: EmbeddedPostgres, name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables' owner goes on migrating and loading: temporary tables stay his."""
    role = name("reader")
    admin = owned.set(username="postgres").render_as_string()
    for _ in range(2):
        assert tieout.__main__.main(["--warehouse", admin, "grant-reader", "--role", role]) == 0
    said = capsys.readouterr().out
    assert f"the role {role} may read all tables" in said
    assert said.count("cannot log in yet") == 1
    with connect(owned) as writer:
        writer.execute("CREATE TEMP TABLE incoming (x int)")
        writer.execute("CREATE TABLE staging.by_the_owner (x int)")
    with connect(postgres.url("postgres"), autocommit=True) as server:
        login(server, role)
    with connect(owned.set(username=role), autocommit=True) as reader:
        reader.execute("SELECT * FROM staging.by_the_owner")
        reader.execute("SET default_transaction_read_only = off")
        refused(reader, "INSERT INTO staging.by_the_owner VALUES (1)")
        refused(reader, "CREATE TEMP TABLE mine (x int)")


def test_the_default_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tieout.__main__.main(["grant-reader", "--help"])
    assert DEFAULT_ROLE in capsys.readouterr().out
