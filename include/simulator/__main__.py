"""The command line: `python -m simulator`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.checks import ConfigError
from simulator.config import SimConfig, config_from_mapping, read_settings
from simulator.connections import base_url, connections
from simulator.server import PortInUse, RunningServer

_SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("seed", int, "what all worlds are drawn from"),
    ("host", str, "address to listen on (127.0.0.1)"),
    ("port", int, "port to listen on (8099; 0 takes a free one)"),
    ("quota_scale", float, "factor on all quota intervals (1.0)"),
    ("quota_allowance_ms", int, "how much too early a call may come (0)"),
    ("activity_from", str, "nothing happens before this instant (ms or ISO 8601)"),
    ("activity_until", str, "nothing happens at or after this instant (ms or ISO 8601)"),
    ("now", str, "freeze the world clock at this instant (ms or ISO 8601)"),
    ("clock_offset_ms", int, "world clock = wall clock + this"),
    ("break_share", float, "share of rebates with a planted break (0.08)"),
    ("token_seconds", int, "life of a bearer token (3600)"),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="Plays four game providers over HTTP, strictly by their documents.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file with settings; flags win over it")
    for name, kind, text in _SETTINGS:
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, type=kind, default=None, help=text)
    parser.add_argument(
        "--print-connections",
        action="store_true",
        help="print the agents' Airflow connections as JSON and exit",
    )
    return parser


def _config(options: argparse.Namespace) -> SimConfig:
    settings = read_settings(options.config) if options.config else {}
    given = {name: getattr(options, name) for name, _, _ in _SETTINGS if getattr(options, name) is not None}
    try:
        return config_from_mapping(settings | given)
    except ConfigError as error:
        raise ConfigError(f"{options.config}: {error}" if options.config else str(error)) from None


def _serve(config: SimConfig) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = RunningServer(config)
    try:
        server.start()
        agents = " ".join(f"{agent.provider}={agent.agent_id}" for agent in config.agents)
        print(f"simulator listening on {server.url} agents: {agents}", flush=True)
        while not stop.wait(1):
            if not server.alive():
                return 1
    finally:
        server.stop()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT (0); 2 for wrong settings or a taken port, said in one line."""
    options = _parser().parse_args(arguments)
    try:
        config = _config(options)
        if options.print_connections:
            if config.port == 0:
                raise ConfigError("port: must be fixed to print connections; give one with --port")
            print(json.dumps(connections(config, url=base_url(config.host, config.port)), indent=2))
            return 0
        return _serve(config)
    except (ConfigError, PortInUse) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
