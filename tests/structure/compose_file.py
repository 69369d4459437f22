"""docker-compose.yaml with its variables filled in, and beside .env.example."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from distributed.compose import FILE, REFERENCE, ROOT, Missing, interpolate, raw

__all__ = ["FILE", "ROOT", "Missing", "interpolate", "raw"]
EXAMPLE = ROOT / ".env.example"


def references() -> dict[str, set[tuple[str, str]]]:
    """Return each variable with the forms it is used in: (kind, text), kind being ``:?``, ``:-`` or nothing."""
    found: dict[str, set[tuple[str, str]]] = {}
    # Comments are no part of the file as Compose reads it.
    for match in REFERENCE.finditer(yaml.safe_dump(raw(), width=10**9)):
        if match["name"]:
            found.setdefault(match["name"], set()).add((match["kind"] or "", match["text"] or ""))
    return found


def example() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return .env.example's variables: those to be filled in, and those shown in comments with their values."""
    required: dict[str, str] = {}
    optional: dict[str, list[str]] = {}
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"(# )?([A-Z][A-Z0-9_]*)=(\S*)", line)
        if match and match[1]:
            optional.setdefault(match[2], []).append(match[3])
        elif match:
            required[match[2]] = match[3]
    return required, optional


FILLED = {
    "POSTGRES_PASSWORD": "pg0123456789",
    "TIEOUT_WAREHOUSE_PASSWORD": "wh0123456789",
    "REDIS_PASSWORD": "re0123456789",
    "AIRFLOW_FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "AIRFLOW_JWT_SECRET": "jwt-0123456789-0123456789-0123456789-0123456789-0123456789-01234567",
    "AIRFLOW_API_SECRET_KEY": "api0123456789",
    "AIRFLOW_ADMIN_PASSWORD": "admin0123456789",
}


@cache
def resolved() -> dict[str, Any]:
    """Return the file with every required variable filled in and the others at their defaults."""
    document: dict[str, Any] = interpolate(raw(), FILLED)
    return document


def services() -> dict[str, dict[str, Any]]:
    """Return the services of ``resolved``."""
    found: dict[str, dict[str, Any]] = resolved()["services"]
    return found


def script(service: str) -> str:
    """Return the shell script of a one-shot service (``bash -c …``)."""
    command = services()[service]["command"]
    assert command[:2] == ["bash", "-c"]
    assert len(command) == 3
    return str(command[2])
