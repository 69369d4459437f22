"""Growth: what a merge of one slice costs in a large warehouse against a small one, and how many bytes a bet takes.

Two warehouses are filled by the server itself, one with twenty times the rows of the other, and slices of 20,000 bets
are loaded into both in turn: a third of each is new, a third unchanged, a third restated.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL

from bench.framework import Benchmark, Figure, Outcome
from bench.landed_bets import AGENT, HOUR, START, Bets, Change, Landed, land
from demo.postgres import EmbeddedPostgres
from tieout.core.load import load_reading
from tieout.core.warehouse import connect
from tieout.migrations import upgrade
from tieout.providers.lucko import BETS

TABLES = ("lucko_bets", "lucko_bet_versions")
#: Of a row that is made here, with its version and all indexes; without the free-form details.
BYTES_PER_ROW = 1_000
SPARE_BYTES = 5 * 2**30

# Ids begin with the bet's second, as the provider's do, and lie before those of the slices.
_ROWS = """
INSERT INTO staging.{table} (agent, id, user_id, game_id, inst_id, shoe_id, round_id, bet_time, settle_time,
    bet_amount, real_bet_amount, valid_bet_turnover, win_amount, currency, real_win_amount, no_comm, create_time,
    update_time, status, reading_id, load_id, {instants})
SELECT %(agent)s, lpad(to_hex(1760000000 + n / 100), 8, '0') || lpad(to_hex(n), 16, '0'), 'user' || n %% 5000,
    (101 + n %% 5)::text, 'table' || n %% 50, n, n, m.placed, m.placed, n %% 1000, n %% 1000, n %% 1000,
    (n %% 2000) * 0.95, 'USD', (n %% 2000) * 0.95, false, m.placed, m.placed, 1, 'bulk', -(n / 20000), {values}
FROM generate_series(1, %(rows)s::bigint) AS n
CROSS JOIN LATERAL (SELECT to_timestamp(1760000000 + n / 100) AS placed) AS m
"""
_INSTANTS = {
    "lucko_bets": ("first_seen_at, last_changed_at", "m.placed, m.placed"),
    "lucko_bet_versions": ("pulled_at", "m.placed"),
}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """``large`` and ``small`` are rows of the warehouses, ``slice_rows`` of each of the ``rounds`` slices."""

    large: int = int(os.environ.get("GROWTH_ROWS", "20000000"))
    ratio: int = 20
    slice_rows: int = 20_000
    rounds: int = 3
    updates: int = 3
    seed: int = 1


def run(seed: int) -> Outcome:
    """Measure 2,000,000 rows against a twentieth of them."""
    return measure(Sizes(large=2_000_000, seed=seed))


def full(seed: int) -> Outcome:
    """Measure 20,000,000 rows (or $GROWTH_ROWS) against a twentieth of them."""
    return measure(Sizes(seed=seed))


def measure(sizes: Sizes) -> Outcome:
    """Measure any sizes."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as postgres:
        needed = sizes.large * BYTES_PER_ROW + SPARE_BYTES
        if shutil.disk_usage(name).free < needed:
            raise RuntimeError(f"{needed / 2**30:.0f} GiB of disk are needed at {name}; set GROWTH_ROWS")
        return _Bench(Path(name), postgres, sizes).run()


BENCHMARK = Benchmark(
    name="growth",
    measures="a slice of 20,000 bets merged into a table and into one of twentieth the rows; bytes a row",
    run=run,
    full=full,
)


class _Bench:
    def __init__(self, folder: Path, postgres: EmbeddedPostgres, sizes: Sizes) -> None:
        self.folder, self.postgres, self.sizes = folder, postgres, sizes
        self.base = folder / "landing"

    def run(self) -> Outcome:
        """Fill, merge in turn, count bytes."""
        sizes = self.sizes
        small, large = self._database("small"), self._database("large")
        started = time.monotonic()
        for url, rows in ((small, sizes.large // sizes.ratio), (large, sizes.large)):
            _fill(url, rows)
        filled = time.monotonic() - started
        seconds: dict[URL, list[float]] = {small: [], large: []}
        scans: dict[URL, int] = {}
        for number in range(sizes.rounds):
            before, slice_ = self._slices(number)
            for url in seconds:
                _load(url, before)
                seconds[url].append(_load(url, slice_))
        for url in seconds:
            scans[url] = _scans(url)
        ratio = median(seconds[large]) / median(seconds[small])
        return Outcome(
            figures=(
                Figure(name="merge of a slice, small", value=median(seconds[small]), unit="s"),
                Figure(name="merge of a slice, large", value=median(seconds[large]), unit="s"),
                Figure(name="large / small", value=ratio, at_most=1.5),
                Figure(name="times a load read a large table whole", value=scans[large], at_most=0),
                Figure(name="filling both", value=filled, unit="s"),
                *self._bytes(),
            ),
            sizes={
                "large": sizes.large, "small": sizes.large // sizes.ratio, "slice": sizes.slice_rows,
                "rounds": sizes.rounds,
            },
        )  # fmt: skip

    def _database(self, name: str) -> URL:
        self.postgres.create_database(name)
        url = self.postgres.url(name)
        upgrade(url)
        return url

    def _slices(self, number: int) -> tuple[Landed, Landed]:
        """Land an hour's rows as they were first read, and as they are read again; a third of these is new."""
        bets = Bets(rows=self.sizes.slice_rows, seed=self.sizes.seed, start=START + number * HOUR)
        read_at = START + (number + 2) * HOUR
        known = Bets(rows=self.sizes.slice_rows * 2 // 3, seed=self.sizes.seed, start=bets.slice.start, like=bets)
        third = self.sizes.slice_rows // 3
        before = land(self.base, known, read_at=read_at)
        return before, land(self.base, bets, read_at=read_at + 5 * HOUR, change=_restate_first(third))

    def _bytes(self) -> list[Figure]:
        """Bytes of documented rows as loaded, and of the indexes after all rows were restated again and again."""
        url = self._database("bytes")
        bets = Bets(rows=self.sizes.slice_rows, seed=self.sizes.seed)
        _load(url, land(self.base, bets, read_at=START + 2 * HOUR, agent="bytes"))
        fresh = _sizes(url)
        for number in range(self.sizes.updates):
            _vacuum(url)
            _load(
                url,
                land(
                    self.base, bets, read_at=START + (4 + 2 * number) * HOUR, agent="bytes",
                    change=_restate_all(number + 1),
                ),
            )  # fmt: skip
        _vacuum(url)
        worn = _sizes(url)
        rows = self.sizes.slice_rows
        figures = [Figure(name=name, value=size / rows, unit="B/bet") for name, size in fresh.items()]
        indexes = [name for name in fresh if name.startswith(("pk_lucko_bets", "ix_lucko_bets"))]
        grown = sum(worn[name] for name in indexes) / sum(fresh[name] for name in indexes)
        figures.append(
            Figure(name=f"indexes of bets after {self.sizes.updates} updates of all / before", value=grown, at_most=3)
        )  # fmt: skip
        return figures


def _restate_first(count: int) -> Change:
    return lambda number, row: (
        row | {"valid_bet_turnover": "7.77", "update_time": row["update_time"] + 1000} if number < count else row
    )


def _restate_all(times: int) -> Change:
    return lambda number, row: (
        row
        | {
            "valid_bet_turnover": f"{number % 97}.{times:02d}",
            "update_time": row["update_time"] + times,
            "settle_time": row["settle_time"] + times,
        }
    )


def _load(url: URL, landed: Landed) -> float:
    with connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    started = time.monotonic()
    load_reading(url, BETS, landed.manifest, landed.folder)
    return time.monotonic() - started


def _fill(url: URL, rows: int) -> None:
    """Fill both tables at once, without indexes, which are built in the end."""
    with ThreadPoolExecutor(max_workers=len(TABLES)) as pool:
        list(pool.map(lambda table: _fill_table(url, table, rows), TABLES))
    with connect(url, autocommit=True) as connection:
        # A warehouse that grew over months was vacuumed and analysed on the way, and the counts below begin here.
        connection.execute("VACUUM (ANALYZE) staging.lucko_bets, staging.lucko_bet_versions")
        connection.execute("SELECT pg_stat_reset()")


def _fill_table(url: URL, table: str, rows: int) -> None:
    instants, values = _INSTANTS[table]
    with connect(url) as connection:
        connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        connection.execute("SET LOCAL synchronous_commit = off")
        definitions = _drop_indexes(connection, table)
        statement = _ROWS.format(table=table, instants=instants, values=values)
        connection.execute(statement.encode(), {"agent": AGENT, "rows": rows})
        for definition in definitions:
            connection.execute(definition)


def _drop_indexes(connection: psycopg.Connection, table: str) -> list[sql.Composed]:
    """Drop a table's indexes and return the statements that make them again."""
    name = sql.Identifier("staging", table)
    again: list[sql.Composed] = []
    found = connection.execute(
        """SELECT c.relname, pg_get_indexdef(c.oid), pg_get_constraintdef(k.oid)
           FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
           LEFT JOIN pg_constraint AS k ON k.conindid = c.oid
           WHERE i.indrelid = %s::regclass""",
        (f"staging.{table}",),
    ).fetchall()
    for index, definition, constraint in found:
        if constraint:
            change = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(name, sql.Identifier(index))
            made = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                name, sql.Identifier(index), sql.SQL(constraint)
            )  # fmt: skip
        else:
            change = sql.SQL("DROP INDEX {}").format(sql.Identifier("staging", index))
            made = sql.SQL("{}").format(sql.SQL(definition))
        connection.execute(change)
        again.append(made)
    return again


def _scans(url: URL) -> int:
    with connect(url) as connection:
        row = connection.execute(
            "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE schemaname = 'staging' AND relname = ANY(%s)",
            (list(TABLES),),
        ).fetchone()
    assert row is not None
    return int(row[0])


def _vacuum(url: URL) -> None:
    with connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) staging.lucko_bets, staging.lucko_bet_versions")


def _sizes(url: URL) -> dict[str, int]:
    """Return bytes by table and index."""
    with connect(url) as connection:
        rows: list[tuple[str, Any]] = connection.execute(
            """SELECT c.relname, CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END
               FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
               WHERE coalesce(i.indrelid, c.oid) = ANY(%s::regclass[]) ORDER BY c.relkind DESC, c.relname""",
            ([f"staging.{table}" for table in TABLES],),
        ).fetchall()
    return dict(rows)
