"""Loading: one slice of documented bets from landing, against raw COPY, Airflow's insert_rows and a dlt merge.

Everything is measured in rounds, one contender after the other on one server, and the medians are compared. A load
decodes compressed answers, counts, merges, writes history and certificate; what it is compared with gets decoded rows.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import psycopg
from sqlalchemy import URL

from bench import rivals
from bench.framework import Benchmark, Figure, Outcome
from bench.landed_bets import HOUR, START, Bets, Landed, for_agent, land, restated
from bench.memory import peak_memory
from demo.postgres import EmbeddedPostgres
from tieout.core import landing
from tieout.core.load import load_reading
from tieout.core.rows import RowReader
from tieout.core.warehouse import connect
from tieout.migrations import upgrade
from tieout.providers.lucko import BETS

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """``rows`` of the slice, a quarter of them for memory; ``slow_rows`` is what the slow contenders get."""

    rows: int = 200_000
    slow_rows: int = 50_000
    rounds: int = 2
    seed: int = 1


@dataclass
class Times:
    """Seconds of one contender, round by round, and the bytes of log it caused."""

    seconds: list[float] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)

    def rate(self, rows: int) -> float:
        """Return rows per second of the median round."""
        return rows / median(self.seconds)


def run(seed: int) -> Outcome:
    """Measure 200,000 bets."""
    return measure(Sizes(seed=seed))


def measure(sizes: Sizes) -> Outcome:
    """Measure any sizes."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as postgres:
        return _Bench(Path(name), postgres, sizes).run()


BENCHMARK = Benchmark(
    name="load",
    measures="one slice of 200,000 bets, loaded, replayed and updated, against COPY, insert_rows and dlt",
    run=run,
)


class _Bench:
    def __init__(self, folder: Path, postgres: EmbeddedPostgres, sizes: Sizes) -> None:
        self.folder, self.sizes = folder, sizes
        self.base = folder / "landing"
        postgres.create_database("load")
        self.url = postgres.url("load")
        upgrade(self.url)
        with connect(self.url, autocommit=True) as connection:
            # Nothing in the background may take part: checkpoints are made where they are the same for all.
            for setting in ("autovacuum = off", "max_wal_size = '16GB'", "checkpoint_timeout = '1d'"):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        self.found: dict[str, Times] = {}
        self.peaks: dict[int, list[int]] = {}

    def run(self) -> Outcome:
        """Make the data, then measure round by round."""
        sizes, base = self.sizes, self.base
        bets = Bets(rows=sizes.rows, seed=sizes.seed)
        first = land(base, bets, read_at=START + 2 * HOUR)
        later = land(base, bets, read_at=START + 8 * HOUR, change=restated)
        small = land(base, Bets(rows=max(sizes.rows // 4, 1), seed=sizes.seed), read_at=START + 2 * HOUR)
        rows = rivals.decoded(bets.pages(), agent="bulk", read_at=START)
        slow = rows[: sizes.slow_rows]
        lines = self.folder / "rows.jsonl"
        raws = chain.from_iterable(bets.pages())
        lines.write_bytes(b"\n".join(bytes(raw) for raw in islice(raws, sizes.slow_rows)))
        rivals.create_tables(self.url)
        dlt = rivals.Dlt(self.folder)
        # The tables are not empty when the first round begins.
        before = Bets(rows=max(sizes.rows // 2, 1), seed=sizes.seed + 1, start=START - 5 * HOUR)
        self._load(land(base, before, read_at=START, agent="before"))
        for number in range(sizes.rounds):
            mine, again = for_agent(base, first, f"bulk{number}"), for_agent(base, later, f"bulk{number}")
            few = for_agent(base, small, f"small{number}")
            self._time("raw", partial(rivals.copy_raw, self.url, rows))
            self._time("first", partial(self._load, mine))
            self._time("both", partial(rivals.copy_both, self.url, rows))
            self._time("replay", partial(self._load, mine))
            self._time("decode", partial(_decode, mine))
            self._time("update", partial(self._load, again))
            self._time("small", partial(self._load, few))
            self._time("insert_rows", partial(rivals.insert_rows, self.url, slow, self.folder / "airflow"))
            # Slow enough for one round to tell.
            if number == 0 and not dlt.why_not:
                self._time("dlt", partial(dlt.merge, self.url, lines))
        return self._outcome(dlt.why_not, slow_rows=len(slow))

    def _time(self, name: str, work: Callable[[], float]) -> None:
        """Note the seconds that *work* returns, and the log that was written meanwhile."""
        with connect(self.url, autocommit=True) as connection:
            if name == "replay":
                # As autovacuum does soon after: the first to look at new rows marks their pages, which is logged.
                connection.execute("VACUUM ANALYZE staging.lucko_bets, staging.lucko_bet_versions")
            connection.execute("CHECKPOINT")
            before = _log_position(connection)
            seconds = work()
            written = _log_position(connection) - before
        times = self.found.setdefault(name, Times())
        times.seconds.append(seconds)
        times.wal.append(written)

    def _load(self, landed: Landed) -> float:
        """Load in a process of its own; its start is not counted, its peak memory is kept."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_load_and_tell, args=(theirs, self.url, landed))
        process.start()
        theirs.close()
        try:
            seconds, peak = ours.recv()
        except EOFError:
            raise RuntimeError("the process that loads died; its error stands above") from None
        finally:
            process.join()
        self.peaks.setdefault(landed.rows, []).append(peak)
        return float(seconds)

    def _outcome(self, why_not: str, *, slow_rows: int) -> Outcome:
        rows, quarter = self.sizes.rows, max(self.sizes.rows // 4, 1)
        rates = {
            name: times.rate({"small": quarter, "insert_rows": slow_rows, "dlt": slow_rows}.get(name, rows))
            for name, times in self.found.items()
        }
        with_decoding = rows / (median(self.found["raw"].seconds) + median(self.found["decode"].seconds))
        first, peak = self.found["first"], {size: max(peaks) for size, peaks in self.peaks.items()}
        figures = [
            Figure(name="first load", value=rates["first"], unit="rows/s"),
            Figure(name="raw COPY of decoded rows, no index", value=rates["raw"], unit="rows/s"),
            Figure(name="first load / raw COPY", value=rates["first"] / rates["raw"], at_least=0.6),
            Figure(name="first load / raw COPY after decoding", value=rates["first"] / with_decoding),
            Figure(name="COPY into bets and versions with indexes", value=rates["both"], unit="rows/s"),
            Figure(name="first load / COPY of the same bytes", value=rates["first"] / rates["both"], at_least=0.6),
            Figure(name="insert_rows", value=rates["insert_rows"], unit="rows/s"),
            Figure(name="first load / insert_rows", value=rates["first"] / rates["insert_rows"], at_least=1.5),
            *_against_dlt(rates),
            Figure(name="identical replay", value=rates["replay"], unit="rows/s"),
            Figure(name="update of all rows", value=rates["update"], unit="rows/s"),
            Figure(name="log of the first load", value=median(first.wal) / rows, unit="B/row"),
            Figure(
                name="log of the replay / of the first load",
                value=median(self.found["replay"].wal) / median(first.wal), at_most=0.1,
            ),
            Figure(name="peak memory", value=peak[rows] / MIB, unit="MiB"),
            Figure(name=f"… against {quarter:,} rows", value=peak[rows] / peak[quarter], at_most=1.15),
        ]  # fmt: skip
        sizes = {"rows": rows, "rows_of_slow_contenders": slow_rows, "rounds": self.sizes.rounds, "page_size": 5000}
        return Outcome(figures=tuple(figures), sizes={**sizes, **({"dlt": f"skipped: {why_not}"} if why_not else {})})


def _against_dlt(rates: dict[str, float]) -> tuple[Figure, ...]:
    if "dlt" not in rates:
        return ()
    return (
        Figure(name="dlt, merge", value=rates["dlt"], unit="rows/s"),
        Figure(name="first load / dlt", value=rates["first"] / rates["dlt"], at_least=5),
    )


def _load_and_tell(pipe: Connection, url: URL, landed: Landed) -> None:
    started = time.monotonic()
    load_reading(url, BETS, landed.manifest, landed.folder)
    seconds = time.monotonic() - started
    pipe.send((seconds, peak_memory()))


def _decode(landed: Landed) -> float:
    started = time.monotonic()
    reader = RowReader(BETS)
    for _, entry in landing.read_manifest(landed.manifest).pages():
        reader.read(BETS.read_page(landing.read_page(landed.folder, entry)).rows)
    return time.monotonic() - started


def _log_position(connection: psycopg.Connection) -> float:
    row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
    assert row is not None
    return float(row[0])
