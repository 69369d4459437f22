"""plugins/airflow_local_settings.py: what DAGs need is imported once in Airflow's processes, not in every task."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, tmp_path: Path) -> str:
    """Run *code* in a process of its own, as Airflow's are started."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "TIEOUT"))}
    environment = {
        **inherited, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"), "PYTHONPATH": str(ROOT / "plugins"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def test_airflows_processes_have_imported_what_dags_need(tmp_path: Path) -> None:
    code = """
import airflow.settings
airflow.settings.initialize()
import sys
before = set(sys.modules)
import tieout.dag_factory, tieout.feeds, tieout.operators
from tieout.assets import rows_of
rows_of("lucko", "bets", "acme")  # its URI makes Airflow look for what every provider says about assets
new = set(sys.modules) - before
print(sorted(new), hasattr(airflow.settings, "tieout"))
"""
    assert run(code, tmp_path) == "[] False"


@pytest.mark.parametrize("module", ["tieout.operators", "tieout.providers", "tieout.dag_factory", "tieout.timetable"])
def test_whoever_begins_with_tieout_is_not_led_in_a_circle(tmp_path: Path, module: str) -> None:
    assert run(f"import {module}; print({module}.__name__)", tmp_path) == module
