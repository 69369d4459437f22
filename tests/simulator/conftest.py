"""Fixtures of the simulator's tests: one quota-free server whose world stands still."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE.parents[1] / "include", HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import sim_clients  # noqa: E402

import simulator  # noqa: E402


@pytest.fixture(scope="session")
def still() -> simulator.SimConfig:
    """No quota; the world clock frozen at `sim_clients.NOW`."""
    return simulator.SimConfig(seed=7, quota_scale=0, now=sim_clients.NOW)


@pytest.fixture(scope="session")
def server(still: simulator.SimConfig) -> Iterator[simulator.RunningServer]:
    """A served instance nobody may change (faults, clock)."""
    with simulator.serve(still) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: simulator.RunningServer) -> sim_clients.Client:
    """A caller of the shared server."""
    return sim_clients.Client(server.url)


@pytest.fixture
def own(still: simulator.SimConfig) -> Iterator[simulator.RunningServer]:
    """A served instance of the test's own, with the real quotas of the documents."""
    with simulator.serve(replace(still, quota_scale=1.0, agents=sim_clients.SMALL)) as running:
        yield running


@pytest.fixture
def fast(still: simulator.SimConfig) -> Iterator[sim_clients.Client]:
    """A caller of a quota-free instance of the test's own."""
    with simulator.serve(replace(still, agents=sim_clients.SMALL)) as running:
        yield sim_clients.Client(running.url)
