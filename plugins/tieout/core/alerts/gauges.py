"""What the monitor shows as metrics: counts of slices, seconds, breaks and alerts. Money is no metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import psycopg

from tieout.core.alerts.causes import Cause
from tieout.core.alerts.message import KINDS


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """One value of now; ``tags`` in the order in which they stand in a name that carries their values."""

    name: str
    value: int
    tags: Mapping[str, str]


def find_gauges(connection: psycopg.Connection, causes: Sequence[Cause]) -> list[Gauge]:
    """Return all gauges, those at 0 too; reads only."""
    counts = Counter(cause.kind for cause in causes)
    alerts = [Gauge(name="tieout.alerts.open", value=counts[kind], tags={"kind": kind}) for kind in KINDS]
    query = files("tieout.core.alerts").joinpath("gauges.sql").read_text(encoding="utf-8")
    return alerts + [
        Gauge(name=name, value=value, tags=dict(zip(tags, values, strict=True)))
        for name, value, tags, values in connection.execute(query).fetchall()
    ]
