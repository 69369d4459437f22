"""Registers tieout's timetable, priority strategy and pages with Airflow; everything else is found by import."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from tieout.priority import SlicePriority
from tieout.timetable import SliceTimetable
from tieout.web import EXTERNAL_VIEWS, app


class TieoutPlugin(AirflowPlugin):
    """tieout's entry in Airflow's plugin list."""

    name = "tieout"
    timetables = [SliceTimetable]  # noqa: RUF012 (Airflow's own form)
    priority_weight_strategies = [SlicePriority]  # noqa: RUF012
    fastapi_apps = [{"app": app, "url_prefix": "/tieout", "name": "tieout"}]  # noqa: RUF012
    external_views = EXTERNAL_VIEWS
