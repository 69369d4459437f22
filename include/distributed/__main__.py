"""``make distributed``: one simulated day of all five feeds over two Celery workers, one of which is killed."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from demo.airflow_api import StackError
from demo.processes import ProcessDied, end_leftovers
from demo.session import SessionFailed, Stopped, only_one, start_afresh, stop_on_signals
from distributed.compose import ROOT
from distributed.run import Run

FOLDER = ROOT / ".distributed"
LOCK = ROOT / ".distributed.lock"


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 when nothing is lost, doubled or called too soon (or Redis is not installed), else 1."""
    options = _options(arguments)
    if shutil.which("redis-server") is None:
        print("distributed: skipped, there is no redis-server on this machine (Debian: apt-get install redis-server)")
        return 0
    stop_on_signals("Stopping all services …")
    try:
        with only_one(LOCK, what="make distributed"):
            ended = end_leftovers(FOLDER / "processes.json")
            if ended:
                print(f"Ended what an earlier run left running: {', '.join(ended)}")
            start_afresh(FOLDER)
            outcome = Run(folder=FOLDER, packages=options.packages, timeout=options.timeout).run()
    except Stopped:
        print("Stopped; everything has ended.")
        return 130
    except (StackError, ProcessDied, SessionFailed, TimeoutError) as error:
        print(f"distributed: {error}", file=sys.stderr)
        return 1
    for complaint in outcome.complaints:
        print(f"wrong: {complaint}")
    print(outcome)
    return 1 if outcome.complaints else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make distributed", description=__doc__)
    parser.add_argument(
        "--packages", type=Path, default=ROOT / ".venv-celery", help="the virtual environment with the image's packages"
    )
    parser.add_argument("--timeout", type=float, default=480, help="give up after so many seconds (480)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
