"""Fixtures of the reconciliation's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import pytest

from readings import Reading

if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

from world import World  # noqa: E402


@pytest.fixture
def world(reading: type[Reading], db: psycopg.Connection) -> World:
    """An agent without anything yet, in a warehouse of this test's own."""
    return World(reading, db)
