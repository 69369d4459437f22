"""Settings, the command line, and what the package may lean on."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from sim_clients import LUCKO

import simulator
from simulator.__main__ import main
from simulator.config import ConfigError, config_from_mapping, parse_instant

INCLUDE = Path(simulator.__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("mapping", "key"),
    [
        ({"seeds": 1}, "seeds"),
        ({"seed": "one"}, "seed"),
        ({"seed": True}, "seed"),
        ({"port": 70000}, "port"),
        ({"quota_scale": -1}, "quota_scale"),
        ({"break_share": 1.5}, "break_share"),
        ({"now": "tomorrow"}, "now"),
        ({"activity_from": 5, "activity_until": 5}, "activity_until"),
        ({"quota": {"lucko_betz": 1}}, "quota.lucko_betz"),
        ({"quota": {"lucko_bets": -1}}, "quota.lucko_bets"),
        ({"quota": 5}, "quota"),
        ({"agents": {}}, "agents"),
        ({"agents": {"acme": []}}, "agents.acme"),
        ({"agents": {"lucko": {}}}, "agents.lucko"),
        ({"agents": {"lucko": [{"agent_id": "a"}]}}, "agents.lucko[0].sign_key"),
        ({"agents": {"lucko": [{"agent_id": "a", "sign_key": ""}]}}, "agents.lucko[0].sign_key"),
        ({"agents": {"lucko": [{"agent_id": "a", "sign_key": "k", "users": 0}]}}, "agents.lucko[0].users"),
        ({"agents": {"lucko": [{"agent_id": "a", "sign_key": "k"}] * 2}}, "agents"),
        ({"agents": {"vertexplay": [{"agent_id": "a", "secret": "s", "api_key": ""}]}}, "agents.vertexplay[0].api_key"),
        ({"agents": {"jdb": [{"agent_id": "a", "aes_key": "k" * 17, "iv": "i", "dc": "d"}]}}, "agents.jdb[0].aes_key"),
        ({"faults": [{"name": "reset", "probability": 2}]}, "faults[0].probability"),
        ({"faults": {}}, "faults"),
    ],
)
def test_wrong_settings_are_named(mapping: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{key}:")):
        config_from_mapping(mapping)


def test_instants() -> None:
    assert parse_instant("2026-03-10T12:34:56.789Z", key="x") == 1_773_146_096_789
    assert parse_instant("2026-03-10T20:34:56.789+08:00", key="x") == 1_773_146_096_789
    assert parse_instant("1773146096789", key="x") == parse_instant(1_773_146_096_789, key="x")
    assert parse_instant("2026-03-10", key="x") == 1_773_100_800_000


def run(*arguments: str, **kwargs: Any) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": str(INCLUDE)}
    command = [sys.executable, "-m", "simulator", *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_stops_cleanly(number: signal.Signals) -> None:
    process = run("--port", "0")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"simulator listening on (http://127\.0\.0\.1:\d+) agents: (.*)\n", line)
        assert found is not None
        assert "lucko=luckodemo" in found[2]
        assert LUCKO.sign_key not in line
        assert requests.get(f"{found[1]}/_sim/health", timeout=5).json()["status"] == "ok"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=15)
        assert (process.returncode, rest, errors) == (0, "", "")
    finally:
        process.kill()
        process.wait()


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = run("--port", str(port))
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert errors == f"simulator: port {port} on 127.0.0.1 is already in use; choose another with --port\n"


def test_wrong_settings_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sim.yaml"
    for text, complaint in (
        ("seed: [1", "while parsing"),
        ("- 1", "must hold a mapping"),
        ("seed: x", f"{path}: seed: must be int"),
        ("port: 0", "must be fixed"),
    ):
        path.write_text(text)
        assert main(["--config", str(path), "--print-connections"]) == 2
        errors = capsys.readouterr().err
        assert complaint in errors
        assert errors.count("\n") == 1
    assert main(["--config", str(tmp_path / "none.yaml")]) == 2


def test_connections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-connections", "--port", "8123"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"lucko_demo", "hotroad_demo", "jdb_demo", "vertexplay_demo"}
    assert {one["host"] for one in printed.values()} == {"http://127.0.0.1:8123"}
    assert printed["lucko_demo"]["conn_type"] == "lucko"
    assert set(printed["hotroad_demo"]["extra"]) == {"agent_id"}
    assert set(printed["jdb_demo"]["extra"]) == {"dc", "iv_secret", "padding"}
    assert re.fullmatch("[0-9a-f]{64}", printed["vertexplay_demo"]["extra"]["api_key"])
    path = tmp_path / "sim.yaml"
    path.write_text(
        "activity_from: 2026-01-01\nactivity_until: 2026-02-01T00:00:00Z\nquota: {lucko_bets: 1}\n"
        "agents:\n  lucko:\n    - {agent_id: North 1, sign_key: k}\nfaults:\n  - {name: reset, next: 2}\n"
    )
    assert main(["--config", str(path), "--print-connections"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"lucko_north_1"}


def test_the_package_stands_alone() -> None:
    allowed = {"simulator", "starlette", "uvicorn", "cryptography", "msgspec", "yaml"} | set(sys.stdlib_module_names)
    for path in (INCLUDE / "simulator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module or ""]
            assert {name.split(".")[0] for name in names} <= allowed, path


def test_serving_on_a_taken_port_raises() -> None:
    with simulator.serve() as first, pytest.raises(simulator.PortInUse), simulator.serve(port=first.port):
        pass
