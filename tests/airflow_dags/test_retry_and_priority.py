"""What happens after an error, and who gets the next pull slot."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from tieout.core.errors import FatalError, NotReady, SuspectReading, Throttled, Unreachable
from tieout.priority import SlicePriority
from tieout.retry import ErrorRetryPolicy


@pytest.fixture
def policy() -> ErrorRetryPolicy:
    return ErrorRetryPolicy(jitter=lambda: 1.0)


@pytest.mark.parametrize("error", [FatalError("no"), SuspectReading("no")])
def test_fatal_errors_are_not_retried(policy: ErrorRetryPolicy, error: Exception) -> None:
    decision = policy.evaluate(error, 1, 6)
    assert (decision.action, decision.reason) == (RetryAction.FAIL, "no")


@pytest.mark.parametrize("kind", [Throttled, NotReady, Unreachable])
def test_the_error_says_how_long_to_wait(policy: ErrorRetryPolicy, kind: type[Throttled]) -> None:
    decision = policy.evaluate(kind("later", delay=timedelta(seconds=77)), 1, 6)
    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, timedelta(seconds=77))


def test_backoff_doubles_and_is_bounded(policy: ErrorRetryPolicy) -> None:
    delays = [policy.evaluate(Unreachable("later"), attempt, 99).retry_delay for attempt in (1, 2, 3, 20)]
    assert delays == [timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120), timedelta(minutes=30)]


def test_an_outage_is_not_asked_at_the_same_short_interval_for_ever(policy: ErrorRetryPolicy) -> None:
    decision = policy.evaluate(Unreachable("down", delay=timedelta(seconds=30)), 10, 12)
    assert decision.retry_delay == timedelta(minutes=30)


def test_backoff_is_jittered() -> None:
    shortest = ErrorRetryPolicy(jitter=lambda: 0.0).evaluate(Unreachable("later"), 1, 6).retry_delay
    assert shortest == timedelta(seconds=15)


def test_other_errors_follow_the_task(policy: ErrorRetryPolicy) -> None:
    assert policy.evaluate(KeyError("x"), 1, 6).action is RetryAction.DEFAULT


def weight(dag_id: str, run_id: str, own: int = 1) -> int:
    task = SimpleNamespace(priority_weight=own)
    return SlicePriority().get_weight(SimpleNamespace(dag_id=dag_id, run_id=run_id, task=task))  # type: ignore[arg-type]


def test_live_before_backfill_before_revisit_before_repair() -> None:
    date = "2026-01-01T00:00:00+00:00"
    classes = [
        {weight("lucko__bets__acme", f"{kind}__{date}") for kind in ("scheduled", "manual", "asset_triggered")},
        {weight("lucko__bets__acme", f"backfill__{date}")},
        {weight("lucko__revisit__acme", f"{kind}__{date}") for kind in ("scheduled", "manual", "backfill")},
        {weight("tieout__repair", f"{kind}__{date}") for kind in ("scheduled", "manual")},
    ]
    assert all(min(earlier) > max(later) for earlier, later in pairwise(classes))


def test_a_tasks_own_weight_only_breaks_ties() -> None:
    assert weight("tieout__repair", "scheduled__x", own=99) < weight("lucko__revisit__acme", "scheduled__x", own=1)
    assert weight("tieout__repair", "scheduled__x", own=2) > weight("tieout__repair", "scheduled__x", own=1)


@pytest.mark.parametrize("agent", ["revisit", "a__revisit__b", "tieout__repair"])
def test_the_name_of_an_agent_does_not_change_its_class(agent: str) -> None:
    assert weight(f"lucko__bets__{agent}", "scheduled__x") == weight("lucko__bets__acme", "scheduled__x")
