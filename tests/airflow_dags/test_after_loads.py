"""Work that loads start, and what loads tell: one run for many loads, and events only where rows changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from tieout.assets import RELOADED, rows_of, tell_loaded
from tieout.operators.after_loads import AfterLoads

PAUSE = timedelta(minutes=5)


class Work(AfterLoads):
    def work(self) -> dict[str, Any]:
        return {"done": True}


def context(run_type: str) -> Any:
    return {"dag_run": SimpleNamespace(run_type=run_type)}


def test_a_run_that_loads_have_started_waits_for_further_loads_without_a_worker() -> None:
    task = Work(task_id="work", pause=PAUSE)
    before = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context("asset_triggered"))
    moment = deferred.value.trigger.moment
    assert before + PAUSE <= moment <= datetime.now(UTC) + PAUSE
    assert getattr(task, deferred.value.method_name)(context("asset_triggered"), event=moment) == {"done": True}


@pytest.mark.parametrize("run_type", ["manual", "scheduled", "backfill"])
def test_a_run_that_a_person_has_started_does_not_wait(run_type: str) -> None:
    assert Work(task_id="work", pause=PAUSE).execute(context(run_type)) == {"done": True}


def test_without_a_pause_nothing_waits() -> None:
    assert Work(task_id="work").execute(context("asset_triggered")) == {"done": True}


class Event:
    """What Airflow hands out for an outlet."""

    def __init__(self) -> None:
        self.extra: Mapping[str, Any] = {}
        self.added: list[tuple[Any, Mapping[str, Any]]] = []

    def add(self, asset: Any, extra: Mapping[str, Any]) -> None:
        self.added.append((asset, extra))


def told(*outlets: Any) -> dict[Any, Event]:
    events = {outlet: Event() for outlet in outlets}
    task = BaseOperator(task_id="load", outlets=list(outlets))
    tell_loaded(task, {"outlet_events": events}, rows_of("lucko", "bets", "acme"), {"rows": 7})  # type: ignore[typeddict-item]
    return events


def test_a_load_tells_its_figures_with_its_own_asset() -> None:
    bets, rebates = rows_of("lucko", "bets", "acme"), rows_of("lucko", "rebates", "acme")
    events = told(bets, rebates)
    assert events[bets].extra == {"rows": 7}
    assert events[rebates].extra == {}


def test_a_task_over_many_slices_tells_through_the_alias() -> None:
    assert told(RELOADED)[RELOADED].added == [(rows_of("lucko", "bets", "acme"), {"rows": 7})]


def test_a_task_without_outlets_tells_nothing() -> None:
    assert told() == {}
