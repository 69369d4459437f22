"""Many slices in one task: one that fails does not stop the others, and the task says in the end what is left."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from tieout.core.errors import ConfigError, FatalError, IdentityChanged, RetryLater, TieoutError

log = logging.getLogger(__name__)

#: So many failures that pass by themselves, one after the other, are the provider's, not the slices'.
GIVE_UP_AFTER = 3
MAX_NAMED = 10


@dataclass(kw_only=True)
class Round:
    """Goes through the pieces of a task. ``place``: what the task works on; ``advice``: what to do about failures."""

    place: str
    advice: str
    done: int = 0
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    _in_a_row: int = 0

    @contextmanager
    def piece(self, name: str) -> Iterator[None]:
        """Work on one piece; note its failure instead of raising it.

        Raises what concerns all pieces alike: ConfigError, IdentityChanged, and the third RetryLater in a row.
        """
        try:
            yield
        except (ConfigError, IdentityChanged):
            raise
        except Exception as error:
            self._note(name, error)
        else:
            self.done += 1
            self._in_a_row = 0

    def end(self) -> None:
        """Raise unless every piece succeeded: RetryLater when a later try can help some of them, else FatalError."""
        if not self.failures:
            return
        message = (
            f"{len(self.failures)} of {self.done + len(self.failures)} piece(s) of {self.place} failed: "
            f"{'; '.join(_describe(name, error) for name, error in self.failures[:MAX_NAMED])}"
        )
        if len(self.failures) > MAX_NAMED:
            message += f"; and {len(self.failures) - MAX_NAMED} more"
        later = [error for _, error in self.failures if isinstance(error, RetryLater)]
        if later:
            delay = max((error.delay or timedelta(0) for error in later), default=timedelta(0))
            raise RetryLater(f"{message}.", advice=self.advice, delay=delay or None)
        raise FatalError(f"{message}.", advice=self.advice)

    def _note(self, name: str, error: Exception) -> None:
        self.failures.append((name, error))
        if not isinstance(error, TieoutError):
            log.exception("%s: %s failed", self.place, name)
        else:
            log.warning("%s: %s: %s", self.place, name, error)
        self._in_a_row = self._in_a_row + 1 if isinstance(error, RetryLater) else 0
        if self._in_a_row >= GIVE_UP_AFTER:
            self.end()


def _describe(name: str, error: Exception) -> str:
    if isinstance(error, TieoutError):
        return f"{name}: {error.message.rstrip('.')}"
    return f"{name}: {type(error).__name__}: {error}"
