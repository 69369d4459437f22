"""Errors, grouped by what has to happen next.

::

    TieoutError
    ├── ConfigError            a person must change a file; names file, line and key
    ├── FatalError             retrying cannot help (signature, unknown merchant, whitelist, bad credentials)
    │   ├── ContractBroken     the provider answered something its document does not allow
    │   ├── PastReach          the provider has forgotten the slice and landing does not hold it
    │   ├── IdentityChanged    one local agent key now answers as another merchant
    │   └── SuspectReading     rows are kept, but the reading could not be certified
    └── RetryLater             the same call can succeed later; carries the delay
        ├── Throttled          the provider's quota was exceeded
        ├── QuotaBusy          the merchant's next free instant is too far away to sleep until it
        ├── SlotMissed         it is too late for the instant the call was granted; another one is asked for
        ├── NotReady           the slice is not over yet, or the provider has not integrated it
        └── Unreachable        timeouts, resets, 5xx, HTML or truncated bodies, lost database connections
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta


class TieoutError(Exception):
    """Root of every error tieout raises on purpose.

    ``where`` says which agent, feed and slice; ``advice`` says what to do. Both are part of ``str(error)``.
    """

    retryable = False

    def __init__(self, message: str, *, advice: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.where = where

    def __str__(self) -> str:
        parts = [f"[{self.where}] {self.message}" if self.where else self.message]
        if self.advice:
            parts.append(self.advice)
        parts.append(self.retry_sentence())
        return " ".join(part for part in parts if part)

    def retry_sentence(self) -> str:
        """Say whether the same call is tried again."""
        return "It will not be retried."


class ConfigError(TieoutError):
    """A declaration or connection is wrong; names the file, the line and the key where it can."""

    def retry_sentence(self) -> str:
        return ""


class FatalError(TieoutError):
    """Retrying the same call cannot help."""


class ContractBroken(FatalError):
    """The provider's answer does not have the documented form."""


class IdentityChanged(FatalError):
    """The connection of an agent now names another merchant than the one whose rows are stored."""


class SuspectReading(FatalError):
    """A reading was loaded but cannot be certified; what came is kept."""

    def retry_sentence(self) -> str:
        return "The rows that came are kept. Loading will not be retried; read the slice again to certify it."


class PastReach(FatalError):
    """The provider no longer serves the slice and landing holds no reading of it."""


class RetryLater(TieoutError):
    """The same call can succeed later. ``delay``: how long to wait, None for the task's own backoff."""

    retryable = True

    def __init__(self, message: str, *, advice: str = "", where: str = "", delay: timedelta | None = None) -> None:
        super().__init__(message, advice=advice, where=where)
        self.delay = delay

    def retry_sentence(self) -> str:
        if self.delay is None:
            return "It will be retried."
        return f"It will be retried in {self.delay.total_seconds():.0f} s."


class Throttled(RetryLater):
    """The provider refused the call because its frequency limit was exceeded.

    ``endpoint``: whose limit it is, when that is not the feed's own endpoint (a call for a token); else None.
    """

    endpoint: str | None = None


class QuotaBusy(RetryLater):
    """No call was made: the merchant's turn comes too late for a worker to sleep until then."""


class SlotMissed(RetryLater):
    """No call was made: signing took so long that it would come too late, and the next caller's too early."""


class NotReady(RetryLater):
    """The slice is not over, or the provider has not yet integrated its data."""

    def __init__(self, message: str, *, ready_at: datetime | None = None, **kwargs: object) -> None:
        super().__init__(message, **kwargs)  # type: ignore[arg-type]
        self.ready_at = ready_at


class Unreachable(RetryLater):
    """No usable answer: timeout, reset, 5xx, HTML, a truncated or oversize body, a lost database."""


@contextmanager
def located(where: str) -> Iterator[None]:
    """Give every tieout error raised inside the place it happened at, unless it already names one."""
    try:
        yield
    except TieoutError as error:
        if not error.where:
            error.where = where
        raise
