"""Gauges through Airflow's metrics, named as Airflow names its own."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.configuration import conf
from airflow.sdk.observability import stats

from tieout.core.alerts import Gauge


def show(gauges: Iterable[Gauge]) -> None:
    """Set each gauge: under a name that carries its tags' values, and tagged where tags arrive.

    Plain StatsD drops tags, so that a name without values would be what was written last.
    """
    tagged = _tags_arrive()
    named = not tagged or _is_on("legacy_names_on", fallback=True)
    for gauge in gauges:
        if named:
            stats.gauge(".".join((gauge.name, *gauge.tags.values())), gauge.value)
        if tagged:
            stats.gauge(gauge.name, gauge.value, tags=dict(gauge.tags))


def _tags_arrive() -> bool:
    # In the order in which Airflow chooses among them.
    if _is_on("statsd_datadog_enabled"):
        return True
    return _is_on("statsd_influxdb_enabled") if _is_on("statsd_on") else _is_on("otel_on")


def _is_on(option: str, *, fallback: bool = False) -> bool:
    return bool(conf.getboolean("metrics", option, fallback=fallback))
