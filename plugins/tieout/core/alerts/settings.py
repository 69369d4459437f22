"""From when on something is an alert, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class NotifierSpec:
    """An Airflow notifier: ``path`` of its class, and what it is made with; ``name`` tells it from the others."""

    name: str
    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Thresholds, each inclusive, and the notifiers; without any, alerts are kept in ``ops.alerts`` but not sent.

    ``overpaid``: from which over- or underpaid amount on a break is an alert, by currency or ``default``.
    """

    before_lost: timedelta = timedelta(days=2)
    stale_after: timedelta = timedelta(hours=6)
    suspect_after: timedelta = timedelta(hours=2)
    throttled_within: timedelta = timedelta(hours=1)
    judged_within: timedelta = timedelta(hours=12)
    overpaid: Mapping[str, Decimal] = field(default_factory=lambda: {DEFAULT: Decimal(100)})
    notifiers: tuple[NotifierSpec, ...] = ()

    def as_parameters(self) -> dict[str, Any]:
        """Return the thresholds as the queries take them."""
        return {
            "before_lost": self.before_lost,
            "stale_after": self.stale_after,
            "suspect_after": self.suspect_after,
            "throttled_within": self.throttled_within,
            "judged_within": self.judged_within,
        }
