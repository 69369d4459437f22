"""What a person does in Airflow's UI, done through its REST API."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from demo.airflow_stack import AirflowStack

HOUR = timedelta(hours=1)
#: Hourly slices of the agent whose catch-up is interrupted; more than one DAG starts at once.
PATCHY = 16
WRONG_KEY = "a-wrong-key/of+the&end-to-end=tests"


def eventually(done: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Return the first true answer of *done*; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := done():
            return answer
        time.sleep(0.5)
    pytest.fail(f"not within {seconds:.0f} s: {what}")


def trigger(stack: AirflowStack, dag_id: str, conf: dict[str, Any] | None = None, *, state: str = "success") -> str:
    """Trigger a DAG, as the UI does, and wait until the run is over; return its id."""
    run = stack.api("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf or {}})

    def over() -> str | None:
        found = stack.api("GET", f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}")["state"]
        return found if found in ("success", "failed") else None

    assert eventually(over, seconds=180, what=f"the run of {dag_id} is over") == state
    return str(run["dag_run_id"])


def returned(stack: AirflowStack, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> Any:
    """What a task has returned."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value?map_index={map_index}"
    return stack.api("GET", path)["value"]
