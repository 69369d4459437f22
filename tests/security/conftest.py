"""Fixtures of the security tests: a server that misbehaves, a warehouse of the module's own."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

for neighbour in ("core", "recon"):
    folder = str(Path(__file__).resolve().parents[1] / neighbour)
    if folder not in sys.path:
        sys.path.insert(0, folder)

from rogue import RogueServer  # noqa: E402

from demo.postgres import EmbeddedPostgres  # noqa: E402


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def rogue() -> Iterator[RogueServer]:
    """A server on loopback that sends whatever a test tells it to."""
    with RogueServer() as running:
        yield running


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres, template: str) -> Iterator[URL]:
    """The URL of a migrated warehouse that a module shares: every test reads an agent of its own."""
    name = f"w_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name, template=template)
    yield postgres.url(name)
    postgres.drop_database(name)
