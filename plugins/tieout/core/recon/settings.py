"""Reconciliation settings of an agent: tolerances, rounding, severity, the settlement day, how far back bets may lie.

Everything that depends on money is given per currency; a currency is opaque text, and one that is not named takes
the entry ``default``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tieout.core.recon.eligibility import Eligibility

ROUNDING_MODES = ("half_up", "half_even", "down")
DEFAULT = "default"


def _check_amounts(owner: Any, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not value.is_finite() or value < 0:
            raise ValueError(f"{name} must be a finite amount of at least 0, not {value}")


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

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"places": self.places, "mode": self.mode}


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a figure may be off: the larger of an absolute amount and a share of the figure it should be.

    ``turnover`` and ``amount`` are in the currency, the ``_relative`` ones are fractions (0.001: one per mille). A
    deviation equal to the tolerance is tolerated.
    """

    turnover: Decimal = Decimal(0)
    turnover_relative: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    amount_relative: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        _check_amounts(self, *(each.name for each in fields(self)))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, amounts as text."""
        return {each.name: str(getattr(self, each.name)) for each in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Severity:
    """From which overpaid or underpaid amount on a break is ``medium`` and ``high``; below it is ``low``."""

    medium: Decimal = Decimal(1)
    high: Decimal = Decimal(100)

    def __post_init__(self) -> None:
        _check_amounts(self, "medium", "high")
        if self.medium > self.high:
            raise ValueError(f"medium must not exceed high, but {self.medium} > {self.high}")

    def as_json(self) -> dict[str, Any]:
        """Return plain values, amounts as text."""
        return {"medium": str(self.medium), "high": str(self.high)}


@dataclass(frozen=True, kw_only=True)
class ReconSettings:
    """What the judge needs to know of an agent."""

    timezone: str = "UTC"
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    rounding: dict[str, Rounding] = field(default_factory=dict)
    severity: dict[str, Severity] = field(default_factory=dict)
    #: Which bets an activity rebates; one that is not listed rebates every bet.
    activities: dict[str, Eligibility] = field(default_factory=dict)
    bet_lookback: timedelta = timedelta(days=2)
    #: From when on a bet that is still not settled breaks its rebate, counted from its bet_time.
    unsettled_after: timedelta = timedelta(days=14)
    #: After a settlement day's end, how long rebates for it may be dispatched before it is first judged.
    judge_after: timedelta = timedelta(hours=6)

    def __post_init__(self) -> None:
        ZoneInfo(self.timezone)
        for name, default in (("tolerances", Tolerance()), ("rounding", Rounding()), ("severity", Severity())):
            object.__setattr__(self, name, {DEFAULT: default, **getattr(self, name)})
        for name in ("bet_lookback", "unsettled_after", "judge_after"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} must not be negative")

    def as_json(self) -> dict[str, Any]:
        """Return the settings as the judge's SQL and ``recon.runs`` keep them: amounts as text, seconds as integers."""
        return {
            "timezone": self.timezone,
            "tolerances": _by_currency(self.tolerances),
            "rounding": _by_currency(self.rounding),
            "severity": _by_currency(self.severity),
            "activities": {name: bets.as_json() for name, bets in sorted(self.activities.items())},
            "bet_lookback_seconds": int(self.bet_lookback.total_seconds()),
            "unsettled_after_seconds": int(self.unsettled_after.total_seconds()),
            "judge_after_seconds": int(self.judge_after.total_seconds()),
        }


def fingerprint(config: Mapping[str, Any]) -> str:
    """Return a name for a configuration: equal for equal values, whatever their order."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _by_currency(entries: Mapping[str, Rounding | Tolerance | Severity]) -> dict[str, Any]:
    return {currency: entry.as_json() for currency, entry in sorted(entries.items())}
