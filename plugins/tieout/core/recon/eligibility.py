"""Which bets an activity rebates, as the operator and the provider agreed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Eligibility:
    """The bets an activity rebates: those of ``games`` and in ``currencies``; None stands for all."""

    games: tuple[str, ...] | None = None
    currencies: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what the daily figures' SQL reads; a key that is absent excludes nothing."""
        limits = {"games": self.games, "currencies": self.currencies}
        return {name: sorted(values) for name, values in limits.items() if values is not None}
