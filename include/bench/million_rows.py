"""Memory: one slice of a million rows is pulled and loaded page by page, in the memory of a small one.

The worker is a process of its own; its peak resident memory is read before, after the pull and after the load.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml

from bench.framework import Benchmark, Figure, Outcome
from bench.memory import peak_memory
from chaos.worker import log_to
from demo.postgres import EmbeddedPostgres
from demo.processes import Processes
from demo.simulated import as_connection, start_simulator
from simulator.config import config_from_mapping
from simulator.connections import connections
from tieout.core.clock import SystemClock
from tieout.core.slices import Slice
from tieout.core.warehouse import connect
from tieout.feeds import parse_agents
from tieout.ingest import Ingest
from tieout.migrations import upgrade
from tieout.providers import HOOKS

ROWS = 1_000_000
SMALL = 50_000
SLICE = timedelta(hours=2)
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One slice: rows staged, seconds, and the worker's peak resident memory (bytes) at three moments."""

    rows: int
    pull_seconds: float
    load_seconds: float
    rss_before: int
    rss_pulled: int
    rss_loaded: int


def run(seed: int) -> Outcome:
    """Pull and load a slice of 1,000,000 rows and, for comparison, one of 50,000."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as postgres:
        small = _measure(Path(name) / "small", postgres, seed, SMALL)
        large = _measure(Path(name) / "large", postgres, seed, ROWS)
    return Outcome(
        figures=(
            Figure(name="rows staged", value=large.rows, at_least=ROWS),
            Figure(name="peak memory of the worker", value=large.rss_loaded / MIB, unit="MiB"),
            Figure(name="… above an idle worker", value=(large.rss_loaded - large.rss_before) / MIB, unit="MiB"),
            Figure(
                name=f"… against a slice of {SMALL:,} rows", value=large.rss_loaded / small.rss_loaded, at_most=1.15
            ),
            Figure(name="pull", value=large.rows / large.pull_seconds, unit="rows/s"),
            Figure(name="load", value=large.rows / large.load_seconds, unit="rows/s"),
        ),
        sizes={"rows": ROWS, "rows_of_the_small_slice": SMALL, "page_size": 5000},
    )


BENCHMARK = Benchmark(
    name="million_rows", measures="peak memory and speed for one slice of 1,000,000 bets in pages of 5,000", run=run
)


def _measure(folder: Path, postgres: EmbeddedPostgres, seed: int, rows: int) -> Measured:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
    settings: dict[str, Any] = {
        "seed": seed, "port": 0, "quota_scale": 0.0, "activity_from": start.isoformat(),
        "activity_until": (start + SLICE).isoformat(),
        # Some of the bets are settled, and listed, after the slice: a few more are placed.
        "agents": {"lucko": [{"agent_id": "bulk", "sign_key": "bulk-sign-key", "bets_per_hour": rows * 11 // 20}]},
    }  # fmt: skip
    database = f"rows_{rows}"
    postgres.create_database(database)
    url = postgres.url(database)
    upgrade(url)
    folder.mkdir()
    (folder / "simulator.yaml").write_text(yaml.safe_dump(settings))
    with Processes(folder=folder / "logs", register=folder / "processes.json") as processes:
        address = start_simulator(processes, folder / "simulator.yaml")
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_pull_and_load,
            args=(theirs, url.render_as_string(hide_password=False), folder, settings, address, start),
        )
        process.start()
        theirs.close()
        try:
            measured: Measured = ours.recv()
        except EOFError:
            raise RuntimeError(f"the worker died; see {folder / 'logs'}") from None
        finally:
            process.join()
    return measured


def _pull_and_load(
    pipe: Connection, url: str, folder: Path, settings: dict[str, Any], address: str, start: datetime
) -> None:
    log_to(str(folder / "logs" / "worker.log"))
    ((conn_id, fields),) = connections(config_from_mapping(settings), url=address).items()
    text = f"""\
agents:
  - provider: lucko
    agent: bulk
    conn_id: {conn_id}
    start: {start:%Y-%m-%dT%H:%M:%SZ}
    feeds: {{bets: {{interval: 0.001s}}}}
"""
    (agent,) = parse_agents(text)
    bets = next(feed for feed in agent.feeds if feed.spec.name == "bets")
    ingest = Ingest(
        url=url, landing=folder / "landing", clock=SystemClock(),
        hook_for=lambda feed, clock: HOOKS["lucko"](conn_id, connection=as_connection(conn_id, fields), clock=clock),
    )  # fmt: skip
    before, began = peak_memory(), time.monotonic()
    landed = ingest.pull(bets, Slice(start, start + SLICE), kind="first")
    pulled, middle = peak_memory(), time.monotonic()
    ingest.load(bets.spec, landed)
    loaded, ended = peak_memory(), time.monotonic()
    with connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM staging.lucko_bets").fetchone()
    pipe.send(
        Measured(
            rows=row[0] if row else 0,
            pull_seconds=middle - began,
            load_seconds=ended - middle,
            rss_before=before,
            rss_pulled=pulled,
            rss_loaded=loaded,
        )
    )
