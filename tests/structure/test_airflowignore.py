"""plugins/.airflowignore: Airflow executes one file below plugins/, and that file registers what DAGs need."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from airflow import plugins_manager
from airflow._shared.module_loading import find_path_from_directory
from airflow._shared.plugins_manager import _load_plugins_from_plugin_directory
from airflow.configuration import conf

from tieout.priority import SlicePriority
from tieout.timetable import SliceTimetable

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
SYNTAX = conf.get("core", "dag_ignore_file_syntax")


def python_files(folder: Path) -> list[str]:
    """What Airflow's plugin manager would execute."""
    found = (Path(path) for path in find_path_from_directory(folder, ".airflowignore", SYNTAX))
    return sorted(str(path.relative_to(folder)) for path in found if path.suffix == ".py")


def test_airflow_executes_the_plugin_file_only() -> None:
    assert python_files(PLUGINS) == ["tieout_plugin.py"]


def test_without_the_ignore_file_it_would_execute_the_package(tmp_path: Path) -> None:
    copied = shutil.copytree(PLUGINS, tmp_path / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    (copied / ".airflowignore").unlink()
    assert "tieout/dag_factory/feed.py" in python_files(copied)


def test_airflow_loads_the_plugin_without_an_error() -> None:
    before = set(sys.modules)
    plugins, errors = _load_plugins_from_plugin_directory(
        plugins_folder=str(PLUGINS), load_examples=False, ignore_file_syntax=SYNTAX
    )
    assert errors == {}
    (plugin,) = plugins
    assert plugin.name == "tieout"
    assert [kind.__name__ for kind in plugin.timetables] == ["SliceTimetable"]
    assert [kind.__name__ for kind in plugin.priority_weight_strategies] == ["SlicePriority"]
    executed_as_top_level = {"dag_factory", "feeds", "ingest", "timetable", "priority", "settings"}
    assert not executed_as_top_level & (set(sys.modules) - before)


@pytest.mark.parametrize("kind", [SliceTimetable, SlicePriority])
def test_what_dags_use_is_the_class_the_plugin_registers(kind: type) -> None:
    """One import path: a class loaded twice would not be the registered one when a DAG is read back."""
    plugins, errors = _load_plugins_from_plugin_directory(
        plugins_folder=str(PLUGINS), load_examples=False, ignore_file_syntax=SYNTAX
    )
    assert errors == {}
    registered = [*plugins[0].timetables, *plugins[0].priority_weight_strategies]
    assert any(kind is one for one in registered)
    assert kind.__module__.startswith("tieout.")


def test_airflow_has_them_registered() -> None:
    timetables = plugins_manager.get_timetables_plugins()
    strategies = plugins_manager.get_priority_weight_strategy_plugins()
    assert timetables["tieout.timetable.SliceTimetable"] is SliceTimetable
    assert strategies["tieout.priority.SlicePriority"] is SlicePriority
