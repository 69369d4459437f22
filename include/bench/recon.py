"""Reconciliation: a full run against bare counts over its joins and against pandas, and an incremental run against it.

The full run judges every rebate and writes the daily figures. It is measured the first time, when every verdict is new
and written, and again, several times between the counts, when none changes. Goals hold for the latter; the first is
shown beside it.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy import URL

from bench import recon_data
from bench.framework import Benchmark, Figure, Outcome
from bench.memory import peak_memory
from bench.recon_data import DAY, FIRST_DAY, Bulk
from demo.postgres import EmbeddedPostgres
from tieout.core.recon import ReconSettings, judge_days, rejudge
from tieout.core.warehouse import connect, conninfo
from tieout.migrations import upgrade

#: Installed into an environment of their own: the package does not depend on pandas.
PANDAS = ("pandas==3.1.1", "psycopg[binary]==3.3.9")
MIB = 1024 * 1024
#: The joins a run has to make over staging, each of them counted bare.
SUMS = """
SELECT count(*) FROM staging.lucko_rebates r
JOIN staging.lucko_rebate_bets l ON l.agent = r.agent AND l.rebate_id = r.id
JOIN staging.lucko_bets b ON b.agent = l.agent AND b.id = l.bet_id
WHERE r.agent = %(agent)s"""
REUSED = """
SELECT count(*) FROM (
    SELECT bet_id FROM staging.lucko_rebate_bets WHERE agent = %(agent)s GROUP BY bet_id HAVING count(*) > 1) s"""
BOTH_SIDES = """
SELECT count(*) FROM staging.lucko_bets b
LEFT JOIN (staging.lucko_rebate_bets l
           JOIN staging.lucko_rebates r ON r.agent = l.agent AND r.id = l.rebate_id AND r.status <> 0)
    ON l.agent = b.agent AND l.bet_id = b.id
WHERE b.agent = %(agent)s AND b.status = 1"""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """``bulk`` is judged in full, ``changed`` bets of its last day are restated; ``small_days`` make a small table."""

    bulk: Bulk
    changed: int = 1000
    small_days: int = 2
    rounds: int = 3
    pandas: bool = True


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Seconds of the bare counts: over the single join, and over all joins."""

    single: float
    all: float


def run(seed: int) -> Outcome:
    """Measure 200,000 rebates that name 2,000,000 bets, over 20 days."""
    return measure(Sizes(bulk=Bulk(seed=seed)))


def full(seed: int) -> Outcome:
    """Measure 2,000,000 rebates that name 20,000,000 bets, over 200 days, against a tenth of it; without pandas."""
    return measure(Sizes(bulk=Bulk(seed=seed, days=200), small_days=20, pandas=False))


def measure(sizes: Sizes) -> Outcome:
    """Measure any sizes."""
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as postgres:
        few = _days_of(sizes, sizes.small_days)
        small = _incremental(_written(postgres, few, "small"), few, sizes)
        url = _written(postgres, sizes.bulk, "large")
        counts = [_count(url, sizes.bulk)]
        first = _in_worker(url, sizes.bulk, [])
        counts.append(_count(url, sizes.bulk))
        again = []
        for _ in range(sizes.rounds):
            again.append(_in_worker(url, sizes.bulk, _settlement_days(sizes.bulk)))
            counts.append(_count(url, sizes.bulk))
        pandas, why_not = _pandas(Path(name), url, sizes.bulk) if sizes.pandas else (None, "not asked for")
        large = _incremental(url, sizes.bulk, sizes, judged=True)
    counted = Counted(single=median(each.single for each in counts), all=median(each.all for each in counts))
    judged_again = _middle(again)
    return Outcome(
        figures=(
            *_of_full_run(first, judged_again, counted),
            *(_against_pandas(judged_again, pandas) if pandas else ()),
            *_of_increments(small, large, judged_again["seconds"], first["seconds"], sizes),
        ),
        sizes={
            "rebates": sizes.bulk.rebates, "bets": sizes.bulk.bets, "days": sizes.bulk.days,
            "changed_bets": sizes.changed, "small_days": sizes.small_days,
            **({"pandas": f"skipped: {why_not}"} if why_not else {}),
        },
    )  # fmt: skip


BENCHMARK = Benchmark(
    name="recon",
    measures="rebates against the bets they name: in full, incrementally, and by pandas",
    run=run,
    full=full,
)


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median seconds of *runs* and the highest of their peaks."""
    return {"seconds": median(run["seconds"] for run in runs), "peak": max(run["peak"] for run in runs)}


def _of_full_run(first: dict[str, Any], full: dict[str, Any], counted: Counted) -> tuple[Figure, ...]:
    seconds = full["seconds"]
    return (
        Figure(name="full run, every verdict new", value=first["seconds"], unit="s"),
        Figure(name="full run, judged again", value=seconds, unit="s"),
        Figure(name="bare count over rebates, links and bets", value=counted.single, unit="s"),
        Figure(name="… and over all joins of a run", value=counted.all, unit="s"),
        Figure(name="full run / count over one join", value=seconds / counted.single),
        Figure(name="full run / counts over all its joins", value=seconds / counted.all, at_most=3),
        Figure(name="… every verdict new", value=first["seconds"] / counted.all),
    )


def _against_pandas(full: dict[str, Any], pandas: dict[str, Any]) -> tuple[Figure, ...]:
    return (
        Figure(name="pandas, the same", value=pandas["seconds"], unit="s"),
        Figure(name="pandas / full run", value=pandas["seconds"] / full["seconds"], at_least=5),
        Figure(name="peak memory of pandas", value=pandas["peak"] / MIB, unit="MiB"),
        Figure(name="peak memory of the worker", value=full["peak"] / MIB, unit="MiB"),
        Figure(name="worker / pandas", value=full["peak"] / pandas["peak"], at_most=0.1),
    )


def _of_increments(small: float, large: float, full: float, first: float, sizes: Sizes) -> tuple[Figure, ...]:
    return (
        Figure(name=f"incremental, {sizes.changed:,} bets changed", value=large, unit="s"),
        Figure(name="… / full run, judged again", value=large / full, at_most=0.02),
        Figure(name="… / full run, every verdict new", value=large / first),
        Figure(name=f"… with {sizes.small_days} days of rows", value=small, unit="s"),
        Figure(name=f"{sizes.bulk.days} days of rows / {sizes.small_days}", value=large / small, at_most=1.5),
    )


def _days_of(sizes: Sizes, days: int) -> Bulk:
    bulk = sizes.bulk
    return Bulk(rebates_per_day=bulk.rebates_per_day, bets_per_rebate=bulk.bets_per_rebate, days=days, seed=bulk.seed)


def _settlement_days(bulk: Bulk) -> list[date]:
    return [(FIRST_DAY + number * DAY).date() for number in range(bulk.days)]


def _written(postgres: EmbeddedPostgres, bulk: Bulk, database: str) -> URL:
    postgres.create_database(database)
    url = postgres.url(database)
    upgrade(url)
    with connect(url, autocommit=True) as connection:
        recon_data.declare(connection, bulk)
        recon_data.write(connection, bulk, range(bulk.days))
        # What writing left to do must not be done while something else is measured.
        connection.execute("CHECKPOINT")
    return url


def _count(url: URL, bulk: Bulk) -> Counted:
    with connect(url, autocommit=True) as connection:
        single, *others = (_seconds(connection, query, bulk) for query in (SUMS, REUSED, BOTH_SIDES))
    return Counted(single=single, all=single + sum(others))


def _seconds(connection: psycopg.Connection, query: str, bulk: Bulk) -> float:
    started = time.monotonic()
    connection.execute(query.encode(), {"agent": bulk.agent}).fetchone()
    return time.monotonic() - started


def _incremental(url: URL, bulk: Bulk, sizes: Sizes, *, judged: bool = False) -> float:
    """Return the median seconds of runs after *changed* bets of the last day were restated."""
    if not judged:
        rejudge(url, agent=bulk.agent, settings=ReconSettings())
    found = []
    for number in range(sizes.rounds):
        with connect(url, autocommit=True) as connection:
            recon_data.restate(
                connection, bulk, bets=sizes.changed, days=range(bulk.days - 1, bulk.days), seed=number
            )  # fmt: skip
            # As autovacuum does in time: every figure of the day has been written once more.
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        started = time.monotonic()
        summary = rejudge(url, agent=bulk.agent, settings=ReconSettings())
        found.append(time.monotonic() - started)
        assert 0 < summary.judged <= 2 * sizes.changed
    return median(found)


def _in_worker(url: URL, bulk: Bulk, days: list[date]) -> dict[str, Any]:
    """Judge *days* (none: whatever is to be judged) in a process of its own; seconds, and its peak memory in bytes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_judge, args=(theirs, url.render_as_string(hide_password=False), bulk.agent, days))
    process.start()
    theirs.close()
    try:
        measured: dict[str, Any] = ours.recv()
    except EOFError:
        raise RuntimeError("the worker that judges died; its error stands above") from None
    finally:
        process.join()
    return measured


def _judge(pipe: Connection, url: str, agent: str, days: list[date]) -> None:
    work: Callable[[], Any] = (
        (lambda: judge_days(url, agent=agent, days=days, settings=ReconSettings()))
        if days
        else (lambda: rejudge(url, agent=agent, settings=ReconSettings()))
    )
    started = time.monotonic()
    work()
    seconds = time.monotonic() - started
    pipe.send({"seconds": seconds, "peak": peak_memory()})


# ------------------------------------------------------------------------------------------------------------ pandas


def _pandas(folder: Path, url: URL, bulk: Bulk) -> tuple[dict[str, Any] | None, str]:
    """Return what the pandas script found, which must be what the judge found; without it, why it cannot run."""
    python, why_not = _environment(folder / "pandas")
    if why_not:
        return None, why_not
    script = Path(__file__).with_name("scripts") / "recon_pandas.py"
    done = subprocess.run(
        [python, str(script), conninfo(url), bulk.agent], capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the pandas script failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    judged = _judged(url, bulk)
    theirs = {name: found[name] for name in judged}
    if theirs != judged:
        raise RuntimeError(f"pandas and the judge disagree: {theirs} and {judged}")
    return found, ""


def _environment(folder: Path) -> tuple[str, str]:
    """Install pandas into a virtual environment at *folder*; returns its Python, or why there is none."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return "", "uv is not installed"
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--system-certs", "--python", str(python), *PANDAS],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return "", done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "uv failed"
    return str(python), ""


def _judged(url: URL, bulk: Bulk) -> dict[str, Any]:
    """Return the judge's counts of verdicts and reasons and its sums, in the form of the pandas script."""
    with connect(url) as connection:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode(), {"agent": bulk.agent}).fetchall()

        verdicts = rows("SELECT verdict, count(*) FROM recon.rebates WHERE agent = %(agent)s GROUP BY 1")
        reasons = rows(
            "SELECT reason, count(*) FROM recon.rebates, unnest(reasons) AS reason WHERE agent = %(agent)s GROUP BY 1"
        )
        ((difference, overpaid),) = rows(
            "SELECT sum(difference)::text, sum(overpaid)::text FROM recon.rebates WHERE agent = %(agent)s"
        )
        ((turnover, again),) = rows(
            "SELECT sum(bet_turnover)::text, sum(claimed_again)::text FROM recon.bridge WHERE agent = %(agent)s"
        )
        ((claimed,),) = rows("SELECT sum(claimed_turnover)::text FROM recon.activity_daily WHERE agent = %(agent)s")
    return {
        "verdicts": dict(verdicts), "reasons": dict(reasons), "difference": difference, "overpaid": overpaid,
        "bet_turnover": turnover, "claimed_again": again, "claimed": claimed,
    }  # fmt: skip
