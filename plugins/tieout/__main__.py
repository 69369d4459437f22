"""``python -m tieout``: migrate the warehouse, write the declared agents to the ledger, shed old rows."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from functools import partial

from sqlalchemy import URL

from tieout.core import ledger, roles
from tieout.core.coverage import coverage_table, feed_coverage
from tieout.core.errors import ConfigError, TieoutError
from tieout.core.shedding import shed
from tieout.core.warehouse import connect
from tieout.feeds import load_agents, load_alert_settings
from tieout.migrations import upgrade
from tieout.settings import WAREHOUSE_CONN_ID


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for errors a person must mend."""
    parser = argparse.ArgumentParser(prog="python -m tieout", description=__doc__)
    parser.add_argument(
        "--warehouse",
        default=os.environ.get("TIEOUT_WAREHOUSE_URL"),
        help="URL of the warehouse; default: TIEOUT_WAREHOUSE_URL, which other users of the machine cannot see, "
        "else the Airflow connection tieout_warehouse",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="create or upgrade the tables, then write the declared agents")
    commands.add_parser("check", help="validate the feeds file and list its agents")
    reader = commands.add_parser("grant-reader", help="let a database role read all tables, and do nothing else")
    reader.add_argument("--role", default=roles.DEFAULT_ROLE, help="created without login if missing (%(default)s)")
    shown = commands.add_parser("coverage", help="count each feed's slices by status; what will be forgotten first")
    for name in ("provider", "agent"):
        shown.add_argument(f"--{name}", help=f"only this {name}")
    old = commands.add_parser("shed", help="close a Lucko agent's old days and delete their rows, in batches")
    old.add_argument("--agent", required=True, help="the agent's local key")
    old.add_argument("--before", required=True, type=date.fromisoformat, help="the first day that stays open")
    options = parser.parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except TieoutError as error:
        print(f"tieout {options.command}: {error}", file=sys.stderr)
        return 2


def _migrate(options: argparse.Namespace) -> int:
    url = options.warehouse or _url_of_connection()
    upgrade(url)
    agents = load_agents()
    with connect(url) as connection:
        ledger.declare(
            connection,
            [feed.declaration() for agent in agents for feed in agent.feeds],
            {(agent.provider, agent.agent): agent.recon.as_json() for agent in agents},
        )
    print(f"warehouse is up to date; {len(agents)} agents declared")
    return 0


def _check(options: argparse.Namespace) -> int:
    for agent in load_agents():
        feeds = ", ".join(f"{feed.spec.name} every {feed.slice_width}" for feed in agent.feeds)
        print(f"{agent.provider} {agent.agent} (connection {agent.conn_id}): {feeds}")
    notifiers = ", ".join(notifier.name for notifier in load_alert_settings().notifiers)
    print(f"alerts are sent through {notifiers}" if notifiers else "alerts are sent to nobody: no notifier is declared")
    if notifiers:
        print(_links())
    return 0


def _links() -> str:
    # Imported here: only this line needs Airflow's settings.
    from airflow.configuration import conf

    base_url = conf.get("api", "base_url", fallback="") or ""
    if base_url.startswith(("https://", "http://")):
        return f"their links lead to {base_url}"
    return "they carry no links: set AIRFLOW__API__BASE_URL to the address at which people reach Airflow"


def _grant_reader(options: argparse.Namespace) -> int:
    with connect(options.warehouse or _url_of_connection()) as connection:
        created = roles.grant_reader(connection, options.role)
        database = connection.info.dbname
    print(f"the role {options.role} may read all tables of {database}, also future ones, and do nothing else")
    if created:
        print("it cannot log in yet: give it LOGIN and a password with ALTER ROLE, or name a login with --role")
    return 0


def _coverage(options: argparse.Namespace) -> int:
    with connect(options.warehouse or _url_of_connection()) as connection:
        print(coverage_table(feed_coverage(connection, provider=options.provider, agent=options.agent)))
    return 0


def _shed(options: argparse.Namespace) -> int:
    url = options.warehouse or _url_of_connection()
    print(shed(url, agent=options.agent, before=options.before, progress=partial(print, flush=True)))
    return 0


def _url_of_connection() -> URL:
    # A command run by an operator may look connections up in Airflow's metadata, as the api-server does; a task may
    # not. Airflow decides by this variable, when its connections are first asked for.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    # Imported here: only this path needs Airflow's connections.
    from airflow.sdk.exceptions import AirflowNotFoundException

    from tieout.warehouse import warehouse_url

    try:
        return warehouse_url()
    except AirflowNotFoundException as error:
        raise ConfigError(
            f"there is no Airflow connection {WAREHOUSE_CONN_ID!r}.",
            advice="Create it (type postgres), or name the database with --warehouse or TIEOUT_WAREHOUSE_URL.",
        ) from error


COMMANDS = {"migrate": _migrate, "check": _check, "grant-reader": _grant_reader, "coverage": _coverage, "shed": _shed}

if __name__ == "__main__":
    sys.exit(main())
