"""What loads are compared with: raw COPY, Airflow's insert_rows, and dlt; each tells the seconds of writing alone."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from psycopg import sql
from sqlalchemy import URL

from tieout.core.tables import staging
from tieout.core.warehouse import connect
from tieout.providers.lucko import BETS

DLT = "dlt[postgres]==1.31.0"
#: Columns of staging.lucko_bets, and of its versions, in the order of rows.
COLUMNS = tuple(column.name for column in staging.lucko_bets.columns)
VERSION_COLUMNS = tuple(column.name for column in staging.lucko_bet_versions.columns)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNINDEXED, _KEYED = sql.Identifier("bench_unindexed"), "bench_keyed"


def decoded(pages: Iterable[Sequence[msgspec.Raw]], *, agent: str, read_at: datetime) -> list[tuple[Any, ...]]:
    """Return rows as staging.lucko_bets has them, in the form a text COPY takes fastest: instants are texts already."""
    codec = BETS.codec
    at = read_at.isoformat()
    found = []
    for raws in pages:
        for raw in raws:
            row, extra = codec.decode(raw)
            values: dict[str, Any] = dict(zip(codec.columns, codec.values(row), strict=True))
            for name in codec.epoch_columns:
                if values[name] is not None:
                    values[name] = (_EPOCH + timedelta(milliseconds=values[name])).isoformat()
            values |= {
                "agent": agent, "extra": extra, "reading_id": "bench", "load_id": 1, "first_seen_at": at,
                "last_changed_at": at,
            }  # fmt: skip
            found.append(tuple(values[name] for name in COLUMNS))
    return found


def create_tables(url: URL) -> None:
    """Create the tables of the rivals: staging's shape without an index, with its key, and both tables with all."""
    with connect(url) as connection:
        connection.execute("CREATE TABLE bench_unindexed (LIKE staging.lucko_bets)")
        connection.execute("CREATE TABLE bench_keyed (LIKE staging.lucko_bets, PRIMARY KEY (agent, id))")
        connection.execute("CREATE TABLE bench_full (LIKE staging.lucko_bets INCLUDING ALL)")
        connection.execute("CREATE TABLE bench_full_versions (LIKE staging.lucko_bet_versions INCLUDING ALL)")


def empty(url: URL, *tables: str) -> None:
    """Empty tables and write all dirty pages, so that what follows starts from the same state."""
    with connect(url, autocommit=True) as connection:
        for table in tables:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))
        connection.execute("CHECKPOINT")


def copy_raw(url: URL, rows: Sequence[tuple[Any, ...]]) -> float:
    """COPY decoded rows into the table without an index."""
    empty(url, "bench_unindexed")
    started = time.monotonic()
    with connect(url) as connection:
        _copy(connection, "bench_unindexed", COLUMNS, rows)
    return time.monotonic() - started


def copy_both(url: URL, rows: Sequence[tuple[Any, ...]]) -> float:
    """COPY the same into tables like bets and their versions, indexes included: all that a load has to write."""
    empty(url, "bench_full", "bench_full_versions")
    place = {name: position for position, name in enumerate(COLUMNS)} | {"pulled_at": COLUMNS.index("last_changed_at")}
    chosen = [place[name] for name in VERSION_COLUMNS]
    versions = [tuple(row[position] for position in chosen) for row in rows]
    started = time.monotonic()
    with connect(url) as connection:
        _copy(connection, "bench_full", COLUMNS, rows)
        _copy(connection, "bench_full_versions", VERSION_COLUMNS, versions)
    return time.monotonic() - started


def _copy(connection: Any, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def insert_rows(url: URL, rows: Sequence[tuple[Any, ...]], folder: Path) -> float:
    """Upsert decoded rows with the hook of Airflow's provider, as many in a statement batch as it offers by default."""
    os.environ.setdefault("AIRFLOW_HOME", str(folder))
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.sdk import Connection

    logging.getLogger("airflow").setLevel(logging.ERROR)
    host = url.query["host"]
    connection = Connection(
        conn_id="bench", conn_type="postgres", host=str(host), login=url.username, schema=url.database
    )  # fmt: skip
    hook = PostgresHook(connection=connection)
    empty(url, _KEYED)
    started = time.monotonic()
    hook.insert_rows(  # type: ignore[no-untyped-call]
        _KEYED, rows, target_fields=list(COLUMNS), replace=True, executemany=True, replace_index=["agent", "id"]
    )  # fmt: skip
    return time.monotonic() - started


class Dlt:
    """dlt in an environment of its own, kept in the bench's cache; ``why_not`` says why there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python, self.why_not = _environment()

    def merge(self, url: URL, lines: Path) -> float:
        """Merge rows (JSON lines) by id."""
        with connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        script = Path(__file__).with_name("scripts") / "load_dlt.py"
        # libpq takes a socket's folder as a percent-encoded host; dlt insists on a password.
        plain = f"postgresql://{url.username}:none@{quote(str(url.query['host']), safe='')}/{url.database}"
        done = subprocess.run(
            [self.python, str(script), plain, str(lines), str(self.folder / "dlt")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"dlt failed:\n{done.stderr[-4000:]}")
        return float(done.stdout.strip().splitlines()[-1])


def _environment() -> tuple[str, str]:
    """Install dlt unless the cache has it; returns its Python, or why there is none."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return "", "uv is not installed"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tieout-bench"
    folder = cache / f"dlt-{DLT.rpartition('=')[2]}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return str(python), ""
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--system-certs", "--python", str(python), DLT],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return "", done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "uv failed"
    ready.touch()
    return str(python), ""
