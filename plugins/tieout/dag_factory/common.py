"""What all DAGs share: owner, retries, and how a feed is described."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tieout.core.feed import FeedSpec
from tieout.retry import ErrorRetryPolicy

ACTIVE_RUNS = 8
#: With the policy's backoff, an outage of some hours is outlasted.
RETRIES = 12
#: What runs every hour is taken up by its next run anyway.
HOURLY_RETRIES = 2
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


def reach_of(spec: FeedSpec) -> str:
    """Return how far back the provider answers, in words."""
    return "no limit stated" if spec.reach is None else f"{spec.reach.days} days"
