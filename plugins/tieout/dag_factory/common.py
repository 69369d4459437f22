"""What all DAGs share: owner, retries, and how a feed is described."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from tieout.core.feed import FeedSpec
from tieout.feeds import Agent
from tieout.retry import ErrorRetryPolicy
from tieout.settings import coverage_poke_seconds

ACTIVE_RUNS = 8
#: With the policy's backoff, an outage of some hours is outlasted.
RETRIES = 12
#: What runs every hour is taken up by its next run anyway.
HOURLY_RETRIES = 2
COVERAGE_WAIT = timedelta(hours=6)
#: DAGs that catch nothing up need some start; a fixed one keeps their serialized form as it is.
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def defaults(*, retries: int = RETRIES) -> dict[str, object]:
    """Return the default arguments of a DAG's tasks."""
    return {
        "owner": "tieout",
        "retries": retries,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "retry_policy": ErrorRetryPolicy(),
    }


def waiting() -> dict[str, Any]:
    """Return how sensors wait for coverage: without a worker, for six hours; then what can be said is said anyway."""
    return {
        "mode": "reschedule",
        "poke_interval": coverage_poke_seconds(),
        "timeout": COVERAGE_WAIT.total_seconds(),
        "soft_fail": True,
    }


def reach_of(spec: FeedSpec) -> str:
    """Return how far back the provider answers, in words."""
    return "no limit stated" if spec.reach is None else f"{spec.reach.days} days"


def last_day_end(agent: Agent, zone: tzinfo) -> datetime | None:
    """Return the end of the last whole day in *zone* before the agent's stop, None while it lives."""
    if agent.stop is None:
        return None
    return agent.stop.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
