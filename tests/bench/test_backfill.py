"""What the backfill benchmark computes from what it saw; the run itself needs minutes and is not repeated here."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from bench import backfill
from simulator.config import config_from_mapping
from tieout.feeds import parse_agents


def entry(accepted: int, interval_ms: int) -> dict[str, int]:
    return {"accepted": accepted, "interval_ms": interval_ms}


def test_the_slowest_quota_bounds_the_time_from_its_first_call_to_its_last() -> None:
    assert backfill._bound([entry(36, 3000), entry(7, 5000), entry(1, 1000)]) == 105


def test_efficiency_is_the_part_of_the_time_that_the_quotas_needed() -> None:
    caught_up = backfill.CaughtUp(
        agents=1, slices=18, seconds=120, bound=105, early=Counter(), scheduler_cpu=9, all_cpu=36
    )  # fmt: skip
    assert caught_up.efficiency == pytest.approx(0.875)
    values = {figure.name: figure for figure in backfill._figures(caught_up, at_least=0.9)}
    assert not values["1 agent: quotas / wall time"].passed
    assert values["1 agent: scheduler's CPU a slice"].value == 500


def test_calls_that_came_too_early_are_told_by_endpoint() -> None:
    calls = [
        {"provider": provider, "endpoint": "/e", "agent": agent, "violations": violations}
        for provider, agent, violations in (("lucko", "a", 0), ("vertexplay", "a", 1), ("vertexplay", "b", 2))
    ]
    assert backfill._early(calls) == {"vertexplay /e": 3}


def test_agents_are_simulated_and_declared_alike() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    known = tuple(backfill._agents(2))
    stop = start + timedelta(hours=6)
    simulated = config_from_mapping(backfill._simulated(known, 3, start, stop))
    declared = parse_agents(yaml.safe_dump({"agents": list(backfill._declared(known, start, stop))}))
    assert {simulated.conn_id(agent) for agent in simulated.agents} == {agent.conn_id for agent in declared}
    assert sum(len(agent.feeds) for agent in declared) == 6
