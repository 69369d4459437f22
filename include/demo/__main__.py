"""``make demo``: a real Airflow reads two days of all five feeds from simulated providers and reconciles them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import psycopg
from rich.console import Console

from demo.airflow_stack import ROOT, USER, AirflowStack, StackError
from demo.postgres import EmbeddedPostgres
from demo.processes import PortBusy, ProcessDied, Processes, end_leftovers, require_free_port
from demo.progress import ProgressView, judged_days, read_feeds
from demo.report import Comparison, found_breaks, planted_breaks, print_breaks, print_daily
from demo.scenario import FEEDS_QUOTA_SCALE, SIMULATOR_QUOTA_SCALE, Scenario
from demo.session import SessionFailed, Stopped, only_one, start_afresh, stop_on_signals
from demo.simulated import SimulatedProviders
from tieout.core.warehouse import conninfo
from tieout.pages import COVERAGE_VIEW

FOLDER = ROOT / ".demo"
LOCK = ROOT / ".demo.lock"
PASSWORD = "admin"
#: Two days are read within minutes: what looks or waits once a minute or less would mostly wait.
SETTINGS = {"TIEOUT_COVERAGE_POKE_SECONDS": "10", "TIEOUT_AFTER_LOADS_SECONDS": "60"}


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when everything is certified and breaks found = breaks planted, 2 for errors to be mended."""
    options = _options(arguments)
    # Into a file or a pipe, tables keep a width that shows every column.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 132)
    stop_on_signals("Stopping Airflow, the simulator and PostgreSQL …")
    try:
        with only_one(LOCK, what="demo"):
            return run(console, options)
    except Stopped:
        console.print("Stopped; everything the demo started has ended.")
        return 130
    except (PortBusy, StackError, ProcessDied, SessionFailed) as error:
        # Plain print: a message may hold square brackets.
        print(f"demo: {error}", file=sys.stderr)
        return 2


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="exit after the report instead of staying up")
    parser.add_argument("--timeout", type=float, default=900, help="give up after so many seconds (900)")
    parser.add_argument("--port", type=int, default=_port("DEMO_PORT", 8080), help="Airflow's port (DEMO_PORT)")
    parser.add_argument(
        "--simulator-port", type=int, default=_port("DEMO_SIMULATOR_PORT", 8099),
        help="the simulator's port (DEMO_SIMULATOR_PORT)",
    )  # fmt: skip
    return parser.parse_args(arguments)


def _port(setting: str, default: int) -> int:
    text = os.environ.get(setting, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        print(f"demo: {setting}={text!r} is no port number", file=sys.stderr)
        raise SystemExit(2)
    return int(text)


def run(console: Console, options: argparse.Namespace) -> int:
    """Set everything up, follow it, report."""
    ended = end_leftovers(FOLDER / "processes.json")
    if ended:
        console.print(f"Ended what an earlier demo left running: {', '.join(ended)}")
    require_free_port(options.port, setting="DEMO_PORT", what="Airflow")
    require_free_port(options.simulator_port, setting="DEMO_SIMULATOR_PORT", what="the simulator")
    start_afresh(FOLDER)
    scenario = Scenario.of(datetime.now(UTC))
    feeds = FOLDER / "feeds.yaml"
    scenario.write_feeds(feeds)
    _introduce(console, scenario)
    started = time.monotonic()
    with (
        EmbeddedPostgres(FOLDER / "postgres") as postgres,
        Processes(FOLDER / "logs", FOLDER / "processes.json") as processes,
    ):
        simulator = SimulatedProviders(options.simulator_port, scenario)
        stack = AirflowStack(
            home=FOLDER, postgres=postgres, processes=processes, feeds=feeds, port=options.port,
            connections=simulator.connections(), environment=SETTINGS,
            password=PASSWORD,
        )  # fmt: skip
        console.print("PostgreSQL runs; creating tables, pool and connections …")
        stack.prepare()
        processes.start("simulator", simulator.command(), stack.env)
        console.print("Starting the simulator and Airflow …")
        stack.start()
        stack.wait_until_ready()
        console.print(f"Airflow is ready at {stack.url} (login {USER} / {PASSWORD}) after {_elapsed(started)}.\n")
        done = follow(console, stack, scenario, started + options.timeout)
        code = report(console, stack, simulator, done=done, elapsed=_elapsed(started))
        if not options.once:
            console.print(f"Open {entrance(stack.url)} (login {USER} / {PASSWORD}).", soft_wrap=True)
            console.print("Airflow stays up. Ctrl-C stops everything.")
            while True:
                processes.check()
                time.sleep(1)
    return code


def entrance(url: str) -> str:
    """Return the address of Airflow's login that leads on to the page of coverage; *url* is Airflow's own."""
    return f"{url}/api/v2/auth/login?{urlencode({'next': f'{url}/plugin/{COVERAGE_VIEW}'})}"


def _introduce(console: Console, scenario: Scenario) -> None:
    console.print(
        "[bold]tieout demo[/]: five feeds of four simulated providers, "
        f"settlement days {' and '.join(scenario.settlement_days)} (UTC).\n"
        f"Quotas are scaled down so that it takes minutes, not hours: the simulator enforces "
        f"1/{1 / SIMULATOR_QUOTA_SCALE:.0f} of the documented intervals, the feeds file asks for "
        f"1/{1 / FEEDS_QUOTA_SCALE:.0f}."
    )


def follow(console: Console, stack: AirflowStack, scenario: Scenario, deadline: float) -> bool:
    """Show progress until every slice is certified and every day judged; False when time runs out first."""
    days = scenario.settlement_days
    with _connect(stack) as connection, ProgressView(console, len(days)) as view:
        while time.monotonic() < deadline:
            stack.processes.check()
            feeds = read_feeds(connection)
            judged = judged_days(connection, days)
            view.show(feeds, judged)
            if all(state.certified == state.expected for state in feeds.values()) and judged == len(days):
                return True
            time.sleep(1)
    return False


def report(console: Console, stack: AirflowStack, simulator: SimulatedProviders, *, done: bool, elapsed: str) -> int:
    """Print the tables and the verdict; 0 when everything is certified and the breaks are exactly the planted ones."""
    truth = simulator.planted()
    with _connect(stack) as connection:
        feeds = read_feeds(connection)
        console.print()
        print_daily(console, connection)
        print_breaks(console, connection, truth)
        comparison = Comparison(found_breaks(connection), planted_breaks(truth))
    certified = sum(state.certified for state in feeds.values())
    missing = sum(state.expected - state.certified for state in feeds.values())
    console.print(f"Calls that came too soon, by the simulator's own count: {simulator.violations()}")
    if not done:
        console.print("Time ran out before everything was done; the components' logs are in .demo/logs.")
    console.print(f"Statements of each day, as pages and CSV: {stack.landing / 'statements'}", soft_wrap=True)
    for name in ("coverage", "reconciliation"):
        console.print(f"{name.capitalize()}: {stack.url}/plugin/tieout-{name}", soft_wrap=True)
    console.print(f"Airflow: {stack.url}  login: {USER} / {PASSWORD}  (after {elapsed})", soft_wrap=True)
    console.print(
        f"demo: {len(feeds)} feeds, {certified} slices certified, {missing} missing; "
        f"breaks found {comparison.right} of {len(comparison.planted)} planted, {comparison.false} false",
        soft_wrap=True,
    )
    return 0 if done and missing == 0 and comparison.agrees else 1


def _connect(stack: AirflowStack) -> psycopg.Connection:
    return psycopg.connect(conninfo(stack.warehouse_url), autocommit=True)


def _elapsed(started: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


if __name__ == "__main__":
    sys.exit(main())
