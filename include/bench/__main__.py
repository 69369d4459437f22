"""The command line: ``PYTHONPATH=include python -m bench [--full] [--json FILE] [--markdown FILE] [--seed N]``.

``ONLY=name`` selects one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.framework import Benchmark, Outcome, as_json, as_markdown, benchmarks, circumstances


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 0 when every goal is met, 1 when one is missed, 2 for an unknown name."""
    options = _options(arguments)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 132)
    known = list(benchmarks(options.only))
    chosen = [one for one in known if options.only == one.name or (not options.only and _is_due(one, options))]
    if not chosen:
        console.print(
            f"bench: no benchmark is called {options.only!r}; known are {', '.join(one.name for one in known)}"
        )
        return 2
    table = _table()
    results: list[dict[str, Any]] = []
    for benchmark in chosen:
        console.print(f"{benchmark.name}: {benchmark.measures} …")
        started = time.monotonic()
        outcome = _run(benchmark, options)
        results.append(as_json(benchmark, outcome, time.monotonic() - started))
        _add_rows(table, benchmark, outcome)
    console.print(table)
    report = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **circumstances(options.seed),
        "benchmarks": results,
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(as_markdown(report), encoding="utf-8")
    return 0 if all(result["passed"] for result in results) else 1


def _is_due(benchmark: Benchmark, options: argparse.Namespace) -> bool:
    return options.full or not benchmark.takes_long


def _run(benchmark: Benchmark, options: argparse.Namespace) -> Outcome:
    """Run one; what stops it must not lose what the others found."""
    try:
        return (benchmark.full if options.full and benchmark.full else benchmark.run)(options.seed)
    except Exception as error:
        logging.getLogger(__name__).exception("%s did not come to its end", benchmark.name)
        return Outcome(figures=(), error=f"{type(error).__name__}: {error}".splitlines()[0])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Runs benchmarks and compares with goals.")
    parser.add_argument("--full", action="store_true", help="the largest sizes, which take longer")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as a page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write figures, machine and versions here")
    parser.add_argument("--seed", type=int, default=1, help="what simulated worlds are drawn from (1)")
    parser.add_argument("--only", default=os.environ.get("ONLY", ""), metavar="NAME", help="run this one ($ONLY)")
    return parser.parse_args(arguments)


def _table() -> Table:
    table = Table(title="Benchmarks", title_justify="left")
    for name, justify in (("benchmark", "left"), ("figure", "left"), ("value", "right"), ("goal", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    table.add_column("met")
    return table


def _add_rows(table: Table, benchmark: Benchmark, outcome: Outcome) -> None:
    for number, figure in enumerate(outcome.figures):
        name = benchmark.name if number == 0 else ""
        table.add_row(name, figure.name, figure.shown, figure.goal, figure.verdict)
    if outcome.error:
        table.add_row(benchmark.name, outcome.error, "", "", "NO")
    table.add_section()


if __name__ == "__main__":
    # Here and not in main(), which tests call as well: it would outlast them.
    logging.getLogger("tieout").setLevel(logging.WARNING)
    sys.exit(main())
