"""Registers tieout's timetable and priority strategy with Airflow; everything else is found by import."""

from __future__ import annotations

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from tieout.priority import SlicePriority
from tieout.settings import check_landing_is_shared
from tieout.timetable import SliceTimetable


class TieoutPlugin(AirflowPlugin):
    """tieout's entry in Airflow's plugin list."""

    name = "tieout"
    timetables = [SliceTimetable]  # noqa: RUF012 (Airflow's own form)
    priority_weight_strategies = [SlicePriority]  # noqa: RUF012

    @classmethod
    def on_load(cls, *args: object, **kwargs: object) -> None:
        """Refuse to start when tasks could not see each other's landing files."""
        check_landing_is_shared(conf.get("core", "executor"))
