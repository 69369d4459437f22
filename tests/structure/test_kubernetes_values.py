"""The values for the Helm chart: they parse, agree with each other and with the project, and name options of Airflow.

The chart itself is on no package registry, so that its schema is not here to be asked.
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from distributed.compose import ROOT
from tieout.settings import check_landing_is_shared

FOLDER = ROOT / "docs" / "kubernetes"
EXECUTORS = {"values-kubernetes-executor.yaml": "KubernetesExecutor", "values-celery-keda.yaml": "CeleryExecutor"}
#: Options that come with a provider the core does not know.
OF_PROVIDERS = {"kubernetes_executor"}
QUANTITY = {"Mi": 1, "Gi": 1024}


def values(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return loaded


def merged(*names: str) -> dict[str, Any]:
    """As Helm merges values files: mappings key by key, everything else replaced."""

    def merge(below: Any, above: Any) -> Any:
        if isinstance(below, dict) and isinstance(above, dict):
            return {key: merge(below.get(key), above[key]) if key in above else below[key] for key in below | above}
        return below if above is None else above

    result: dict[str, Any] = {}
    for name in names:
        result = merge(result, values(name))
    return result


@pytest.fixture(params=sorted(EXECUTORS))
def both(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What Helm sees: the common values and those of one executor."""
    return merged("values-common.yaml", request.param)


def test_every_file_is_named_in_the_readme() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.yaml"):
        assert f"]({path.name})" in text


@pytest.mark.parametrize(("name", "executor"), EXECUTORS.items())
def test_each_file_is_for_its_executor(name: str, executor: str) -> None:
    assert values(name)["executor"] == executor
    assert "executor" not in values("values-common.yaml")


def test_every_setting_is_an_option_of_airflow(both: dict[str, Any]) -> None:
    described = conf.configuration_description
    for section, options in both["config"].items():
        if section in OF_PROVIDERS:
            continue
        for option, value in options.items():
            assert option in described[section]["options"], f"{section}.{option}"
            # The chart writes them into airflow.cfg as they are: numbers and booleans would be YAML's.
            assert isinstance(value, str), f"{section}.{option}"


def test_the_version_is_the_locked_one(both: dict[str, Any]) -> None:
    (locked,) = re.findall(r"^apache-airflow==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert both["airflowVersion"] == locked


def test_landing_is_an_object_store_that_pods_on_any_node_reach(
    both: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {entry["name"]: entry["value"] for entry in both["env"]}
    monkeypatch.setenv("TIEOUT_LANDING", given["TIEOUT_LANDING"])
    monkeypatch.delenv("TIEOUT_LANDING_SHARED", raising=False)
    check_landing_is_shared(both["executor"])
    (mount,) = both["volumeMounts"]
    assert Path(given["TIEOUT_FEEDS"]).is_relative_to(mount["mountPath"])
    assert mount["name"] in {volume["name"] for volume in both["volumes"]}


def test_the_secrets_backend_exists_and_takes_these_arguments(both: dict[str, Any]) -> None:
    module, _, name = both["config"]["secrets"]["backend"].rpartition(".")
    backend = getattr(importlib.import_module(module), name)
    made = backend(**json.loads(both["config"]["secrets"]["backend_kwargs"]))
    assert made.connections_prefix == "tieout/connections"


def test_no_secret_stands_in_a_file() -> None:
    for path in FOLDER.glob("*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.match(r"\s*\w*(password|secretKey|fernetKey|jwtSecret|brokerUrl):\s*\S", line), line


def test_a_worker_has_memory_for_its_tasks() -> None:
    both = merged("values-common.yaml", "values-celery-keda.yaml")
    requested = mib(both["workers"]["celery"]["resources"]["requests"]["memory"])
    assert requested >= 600 + 57 * int(both["config"]["celery"]["worker_concurrency"])


def test_requests_do_not_exceed_limits(both: dict[str, Any]) -> None:
    found = list(resources(both))
    assert len(found) >= 5
    for one in found:
        if "limits" in one:
            assert mib(one["requests"]["memory"]) <= mib(one["limits"]["memory"])


def test_waits_are_those_of_the_compose_file_or_longer(both: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
    defaults = {
        name.lower(): int(value)
        for name, value in re.findall(r"AIRFLOW__SCHEDULER__(\w+): \$\{\w+:-(\d+)\}", text)
    }  # fmt: skip
    assert set(defaults) == {"task_instance_heartbeat_timeout", "task_queued_timeout"}
    for name, value in defaults.items():
        assert int(both["config"]["scheduler"][name]) >= value


def resources(value: Any) -> Any:
    """Every ``resources`` below *value*."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key == "resources":
                yield child
            else:
                yield from resources(child)


def mib(text: str) -> int:
    """A quantity of memory in MiB."""
    return int(text[:-2]) * QUANTITY[text[-2:]]
