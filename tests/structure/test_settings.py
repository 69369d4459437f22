"""Settings from the environment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tieout.core.errors import ConfigError
from tieout.settings import after_loads_pause, check_landing_is_shared, coverage_poke_seconds, repair_settle


@pytest.mark.parametrize("executors", ["CeleryExecutor", "LocalExecutor,KubernetesExecutor"])
def test_a_local_landing_base_needs_sharing_when_tasks_run_elsewhere(
    monkeypatch: pytest.MonkeyPatch, executors: str
) -> None:
    monkeypatch.setenv("TIEOUT_LANDING", "file:///var/landing")
    monkeypatch.delenv("TIEOUT_LANDING_SHARED", raising=False)
    with pytest.raises(ConfigError, match="TIEOUT_LANDING_SHARED=1"):
        check_landing_is_shared(executors)
    monkeypatch.setenv("TIEOUT_LANDING_SHARED", "1")
    check_landing_is_shared(executors)


def test_object_stores_and_local_executors_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIEOUT_LANDING_SHARED", raising=False)
    monkeypatch.setenv("TIEOUT_LANDING", "file:///var/landing")
    check_landing_is_shared("LocalExecutor")
    monkeypatch.setenv("TIEOUT_LANDING", "s3://bucket/tieout")
    check_landing_is_shared("CeleryExecutor")


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "1e9"])
def test_a_wrong_poke_interval_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TIEOUT_COVERAGE_POKE_SECONDS", text)
    with pytest.raises(ConfigError, match="TIEOUT_COVERAGE_POKE_SECONDS"):
        coverage_poke_seconds()


WAITS = [
    ("TIEOUT_REPAIR_SETTLE_SECONDS", repair_settle, timedelta(hours=1)),
    ("TIEOUT_AFTER_LOADS_SECONDS", after_loads_pause, timedelta(minutes=5)),
]


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "86401"])
@pytest.mark.parametrize(("variable", "read", "_"), WAITS)
def test_a_wrong_wait_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, read: Callable[[], timedelta], _: timedelta, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError, match=f"{variable}='{text}'"):
        read()


@pytest.mark.parametrize(("variable", "read", "default"), WAITS)
def test_waits_have_defaults_and_may_be_nothing(
    monkeypatch: pytest.MonkeyPatch, variable: str, read: Callable[[], timedelta], default: timedelta
) -> None:
    monkeypatch.delenv(variable, raising=False)
    assert read() == default
    monkeypatch.setenv(variable, "0")
    assert read() == timedelta(0)
