"""Parts of a world, made when first asked for and remembered."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_NOTHING: Any = object()


class Memo(Generic[K, V]):
    """Remembers what `make` gives for the `keep` keys made last; pinned values for ever.

    Values are made once even when several threads ask, under the world's one `lock`; what is there already is
    found without it, so an answer about known days never waits for an unknown one.
    """

    def __init__(self, make: Callable[[K], V], *, lock: RLock, keep: int = 160) -> None:
        self._make = make
        self._lock = lock
        self._keep = keep
        self._made: dict[K, V] = {}
        self._pinned: dict[K, V] = {}

    def __call__(self, key: K) -> V:
        found: V = self._known(key)
        if found is not _NOTHING:
            return found
        with self._lock:
            found = self._known(key)
            if found is _NOTHING:
                found = self._make(key)
                while len(self._made) >= self._keep:
                    del self._made[next(iter(self._made))]
                self._made[key] = found
        return found

    def _known(self, key: K) -> V:
        found: V = self._pinned.get(key, _NOTHING)
        return self._made.get(key, _NOTHING) if found is _NOTHING else found

    def pin(self, key: K, value: V) -> None:
        """Keep `value` for `key` from now on, instead of what would be made."""
        with self._lock:
            self._pinned[key] = value
            self._made.pop(key, None)

    @property
    def pinned(self) -> tuple[K, ...]:
        """The keys with pinned values."""
        return tuple(self._pinned)
