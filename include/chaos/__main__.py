"""``python -m chaos``: one run, one verdict."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from chaos.plan import Plan
from chaos.run import Chaos


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit code: 0 when nothing was lost, doubled, wrong or called too soon."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="what everything random is drawn from; by default a new one")
    parser.add_argument("--short", action="store_true", help="the size of the test suite's run")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep database, landing and logs there")
    options = parser.parse_args(arguments)
    # However it is stopped, its servers are stopped with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    seed = secrets.randbelow(1 << 31) if options.seed is None else options.seed
    began = time.monotonic()
    print(f"chaos: seed {seed} (again with: make chaos SEED={seed})", flush=True)
    plan = (Plan.short if options.short else Plan.full)(seed, datetime.now(UTC))

    def say(line: str) -> None:
        print(f"  {time.monotonic() - began:5.0f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="tieout-chaos-") as folder:
        try:
            report = Chaos(plan=plan, folder=options.keep or Path(folder), say=say).run()
        except TimeoutError as error:
            print(f"chaos: not finished in time: {error}")
            return 1
    for bug in report.bugs:
        print(bug)
    for example in report.differences.examples:
        print(f"  {example}")
    if report.uncertified:
        print(f"  {report.uncertified} slices are not certified")
    print(
        f"  {report.calls} calls, {report.faults} met a fault; {report.worker_kills} workers killed, "
        f"{report.restarts} database crashes; {report.differences.rows} rows compared"
    )
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
