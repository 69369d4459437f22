"""Fixtures of the providers' tests: a quota-free simulator whose world stands at the start of the run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = str(Path(__file__).resolve().parents[1] / "core")
if CORE not in sys.path:
    sys.path.insert(0, CORE)

import simulator  # noqa: E402


@pytest.fixture
def sim() -> Iterator[simulator.RunningServer]:
    """A simulator of the test's own, without quotas, whose world runs at wall-clock time."""
    with simulator.serve(simulator.SimConfig(seed=3, quota_scale=0)) as running:
        yield running
