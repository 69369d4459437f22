"""``python -m tieout``: migrate the warehouse and write the declared agents to the ledger."""

from __future__ import annotations

import argparse
import os
import sys

from sqlalchemy import URL

from tieout.core import ledger
from tieout.core.errors import ConfigError, TieoutError
from tieout.core.warehouse import connect
from tieout.feeds import load_agents
from tieout.migrations import upgrade
from tieout.settings import WAREHOUSE_CONN_ID


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for errors a person must mend."""
    parser = argparse.ArgumentParser(prog="python -m tieout", description=__doc__)
    parser.add_argument(
        "--warehouse",
        default=os.environ.get("TIEOUT_WAREHOUSE_URL"),
        help="URL of the warehouse; default: TIEOUT_WAREHOUSE_URL, else the Airflow connection tieout_warehouse",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="create or upgrade the tables, then write the declared agents")
    commands.add_parser("check", help="validate the feeds file and list its agents")
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


COMMANDS = {"migrate": _migrate, "check": _check}

if __name__ == "__main__":
    sys.exit(main())
