"""Registers tieout's timetable and priority strategy with Airflow; everything else is found by import."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from tieout.priority import SlicePriority
from tieout.timetable import SliceTimetable


class TieoutPlugin(AirflowPlugin):
    """tieout's entry in Airflow's plugin list."""

    name = "tieout"
    timetables = [SliceTimetable]  # noqa: RUF012 (Airflow's own form)
    priority_weight_strategies = [SlicePriority]  # noqa: RUF012
