"""How long Airflow takes to parse the DAG file of many agents, and what each of them costs.

Every size is parsed by a process of its own, as the dag-processor does it: it fills a DagBag from the checkout's
``dags`` and serializes every DAG. Imports are counted by themselves: the dag-processor forks from a process that has
made them. Costs are seconds of processor time; a machine that is busy with something else makes these longer too, only
less so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.framework import Benchmark, Figure, Outcome
from bench.memory import peak_memory

ROOT = Path(__file__).resolve().parents[2]
SIZES = (75, 300)
SHARDS = 4
#: Seconds: Airflow's ``core.dagbag_import_timeout`` ends the execution of a DAG file,
IMPORT_TIMEOUT = 30.0
#: and ``dag_processor.dag_file_processor_timeout`` the process that parses it, serialization included.
PROCESSOR_TIMEOUT = 50.0
#: Of a timeout: the rest is for a machine that is busy with something else. They are wall time, costs are not.
SHARE = 0.7


def run(seed: int) -> Outcome:
    """Parse both sizes; of the larger the first of four shards, and as a task. The seed is not used."""
    with tempfile.TemporaryDirectory(prefix="tieout-many-agents-") as folder:
        parsed = {size: _parse(Path(folder), size) for size in SIZES}
        shard = _parse(Path(folder), SIZES[-1], shard=f"1/{SHARDS}")
        task = _parse(Path(folder), SIZES[-1], task_of="lucko__bets__agent00007")
    small, large = parsed[SIZES[0]], parsed[SIZES[-1]]
    per_agent = {size: found["work"] / size * 1000 for size, found in parsed.items()}
    figures = [
        Figure(name=f"parse and serialize, {size} agents", value=value, unit="CPU ms an agent")
        for size, value in per_agent.items()
    ]
    figures += [
        Figure(
            name=f"cost of an agent, {SIZES[-1]} to {SIZES[0]} agents",
            value=per_agent[SIZES[-1]] / per_agent[SIZES[0]], at_most=1.3,
        ),
        Figure(
            name=f"executing the file, {SIZES[-1]} agents", value=large["filling"], unit="CPU s",
            at_most=IMPORT_TIMEOUT * SHARE,
        ),
        Figure(
            name=f"whole parse, {SIZES[-1]} agents", value=large["work"], unit="CPU s",
            at_most=PROCESSOR_TIMEOUT * SHARE,
        ),
        Figure(
            name=f"one of {SHARDS} files, to all in one", value=shard["work"] / large["work"], at_most=1.4 / SHARDS,
        ),
        Figure(name=f"a task's parse, {SIZES[-1]} agents", value=task["filling"], unit="CPU s", at_most=1),
        Figure(name="serialized DAGs of an agent", value=large["bytes"] / SIZES[-1] / 1000, unit="kB", at_most=80),
        Figure(name=f"memory of the parse, {SIZES[-1]} agents", value=large["mib"], unit="MiB", at_most=512),
        Figure(
            name="memory of an agent", value=(large["mib"] - small["mib"]) / (SIZES[-1] - SIZES[0]) * 1024, unit="KiB",
            at_most=512,
        ),
        Figure(name="import of Airflow", value=large["import_airflow"], unit="CPU s"),
        Figure(name="import of tieout for a DAG file", value=large["import_tieout"], unit="CPU s", at_most=2.5),
        Figure(name="import of tieout for a task", value=_import_of("tieout.operators"), unit="CPU s", at_most=2.5),
    ]  # fmt: skip
    sizes = {"agents": SIZES[-1], "feeds": SIZES[-1] * 5, "dags": large["dags"], "shards": SHARDS}
    return Outcome(figures=tuple(figures), sizes=sizes)


BENCHMARK = Benchmark(
    name="many_agents", measures="parsing the DAG file of 75 and of 300 agents with five feeds each", run=run
)


def feeds_yaml(agents: int) -> str:
    """Return a feeds file of so many agents with all five feeds each."""
    more = {
        "lucko": "",
        "hotroad": ", currency: USD",
        "jdb": ', currency: RMB, g_types: ["0", "7", "9", "18"]',
        "vertexplay": "",
    }
    entries = (
        f"  - {{provider: {provider}, agent: agent{n:05d}, conn_id: {provider}_{n}, start: 2026-10-01{extra}}}\n"
        for n in range(agents)
        for provider, extra in more.items()
    )
    return "agents:\n" + "".join(entries)


def _parse(folder: Path, agents: int, *, shard: str = "", task_of: str = "") -> dict[str, Any]:
    feeds = folder / f"feeds-{agents}.yaml"
    feeds.write_text(feeds_yaml(agents))
    dags = folder / f"dags-{agents}-{shard.replace('/', '-of-')}-{task_of}"
    dags.mkdir()
    source = (ROOT / "dags" / "tieout_feeds.py").read_text()
    if shard:
        source = source.replace("load_agents())", f'load_agents(), shard="{shard}")')
    (dags / "tieout_feeds.py").write_text(source)
    found: dict[str, Any] = _child(folder, str(dags), task_of, TIEOUT_FEEDS=str(feeds))
    return found


def _import_of(module: str) -> float:
    with tempfile.TemporaryDirectory(prefix="tieout-many-agents-") as folder:
        return float(_child(Path(folder), "--import", module)["seconds"])


def _child(folder: Path, *arguments: str, **environment: str) -> Any:
    # In place of the project's own, which imports tieout together with Airflow: here each is measured by itself.
    (folder / "airflow_local_settings.py").write_text("")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "TIEOUT"))},
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        # Costs are compared with the default, 30 s; here nothing is to be cut short.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "PYTHONPATH": os.pathsep.join(str(path) for path in (folder, ROOT / "include", ROOT / "plugins")),
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.many_agents", *arguments], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the parse failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# -- in the process that parses -------------------------------------------------------------------------------------


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _import_airflow() -> None:
    import airflow.dag_processing.dagbag
    import airflow.sdk
    import airflow.serialization.serialized_objects  # noqa: F401


def _import_module(name: str) -> None:
    __import__(name)


def _preload() -> None:
    # What plugins/airflow_local_settings.py does in the processes that others are forked from.
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    _import_module("tieout.dag_factory")
    ProvidersManagerTaskRuntime().initialize_providers_asset_uri_resources()  # type: ignore[no-untyped-call]


def _serialize(dags: list[Any]) -> int:
    from airflow.serialization.serialized_objects import DagSerialization

    return sum(len(json.dumps(DagSerialization.to_dict(dag))) for dag in dags)


def _filled(dags: str, task_of: str) -> Any:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager

    with _airflow_parsing_context_manager(dag_id=task_of or None):
        return DagBag(dags)


def _in_child(arguments: list[str]) -> dict[str, Any]:
    of_airflow, _ = _timed(_import_airflow)
    if arguments[0] == "--import":
        return {"seconds": _timed(lambda: _import_module(arguments[1]))[0]}
    of_tieout, _ = _timed(_preload)

    filling, bag = _timed(lambda: _filled(*arguments))
    if bag.import_errors:
        raise RuntimeError(str(bag.import_errors))
    serializing, size = _timed(lambda: _serialize(list(bag.dags.values())))
    return {
        "import_airflow": of_airflow,
        "import_tieout": of_tieout,
        "filling": filling,
        "work": filling + serializing,
        "dags": len(bag.dags),
        "bytes": size,
        "mib": peak_memory() / 2**20,
    }


if __name__ == "__main__":
    print(json.dumps(_in_child(sys.argv[1:])))
