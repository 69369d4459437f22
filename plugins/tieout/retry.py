"""Retries that follow the error: fatal ones stop at once, the others wait as long as the error says."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from tieout.core.errors import RetryLater, TieoutError

if TYPE_CHECKING:
    from airflow.sdk import Context

FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(minutes=30)


class ErrorRetryPolicy(RetryPolicy):
    """Fail at once on errors that retrying cannot help; else retry after the error's delay or a jittered backoff.

    The longer of the two holds.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Return what to do about *exception*; errors that are not tieout's follow the task's own settings."""
        if isinstance(exception, RetryLater):
            # An outage outlasts the delay that one answer asks for: later tries wait longer.
            delay = max(exception.delay or timedelta(0), self._backoff(try_number))
            return RetryDecision.retry(delay=delay, reason=exception.message)
        if isinstance(exception, TieoutError):
            return RetryDecision.fail(reason=exception.message)
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """The policy has no settings."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ErrorRetryPolicy:
        """Rebuild the policy."""
        return cls()

    def _backoff(self, try_number: int) -> timedelta:
        doublings = min(max(try_number - 1, 0), 16)
        longest = min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)
        return longest * (0.5 + self._jitter() / 2)
