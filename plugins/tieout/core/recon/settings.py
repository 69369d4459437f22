"""Reconciliation settings of an agent: tolerances, rounding, the settlement day, how far back bets may lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

ROUNDING_MODES = ("half_up", "half_even", "down")
DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """How a rebate amount is rounded: decimal ``places`` and ``mode`` (half_up rounds halves away from zero)."""

    places: int = 2
    mode: str = "half_up"

    def __post_init__(self) -> None:
        if not 0 <= self.places <= 12:
            raise ValueError(f"places must be 0 to 12, not {self.places}")
        if self.mode not in ROUNDING_MODES:
            raise ValueError(f"mode must be one of {', '.join(ROUNDING_MODES)}, not {self.mode!r}")


@dataclass(frozen=True, kw_only=True)
class ReconSettings:
    """What the judge needs to know of an agent. Tolerances are absolute, in the rebate's currency."""

    timezone: str = "UTC"
    turnover_tolerance: Decimal = Decimal(0)
    amount_tolerance: Decimal = Decimal(0)
    rounding: dict[str, Rounding] = field(default_factory=lambda: {DEFAULT: Rounding()})
    bet_lookback: timedelta = timedelta(days=2)
    #: After a settlement day's end, how long rebates for it may be dispatched before it is first judged.
    judge_after: timedelta = timedelta(hours=6)

    def __post_init__(self) -> None:
        ZoneInfo(self.timezone)
        if DEFAULT not in self.rounding:
            object.__setattr__(self, "rounding", {**self.rounding, DEFAULT: Rounding()})
        for name in ("turnover_tolerance", "amount_tolerance"):
            value = getattr(self, name)
            if not value.is_finite() or value < 0:
                raise ValueError(f"{name} must be a finite amount of at least 0, not {value}")
        for name in ("bet_lookback", "judge_after"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} must not be negative")

    def as_json(self) -> dict[str, Any]:
        """Return the settings as the judge's SQL and ``recon.runs`` keep them: amounts as text, seconds as integers."""
        return {
            "timezone": self.timezone,
            "turnover_tolerance": str(self.turnover_tolerance),
            "amount_tolerance": str(self.amount_tolerance),
            "rounding": {
                currency: {"places": rounding.places, "mode": rounding.mode}
                for currency, rounding in sorted(self.rounding.items())
            },
            "bet_lookback_seconds": int(self.bet_lookback.total_seconds()),
            "judge_after_seconds": int(self.judge_after.total_seconds()),
        }
