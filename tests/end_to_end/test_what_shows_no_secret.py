"""Looks for secrets in everything that the other tests of this folder have left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.airflow_stack import AirflowStack
from demo.scenario import Scenario
from end_to_end.driving import WRONG_KEY, eventually
from tieout.core.warehouse import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "security"))
from leaks import files, leaks, rows

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(420)]


def by_hand(
    stack: AirflowStack, scenario: Scenario, folder: Path, connection: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    """Run a slice of an agent of its own with ``airflow dags test``, with a console that shows variables."""
    feeds = folder / "feeds.yaml"
    start = scenario.start.isoformat()
    agent = f'provider: lucko, agent: talkative, conn_id: by_hand, start: "{start}", feeds: {{bets: {{slice: 6h}}}}'
    feeds.write_text(f"agents: [{{{agent}}}]")
    # DEV has Airflow's console show the variables of every frame of a traceback.
    told = {
        "TIEOUT_FEEDS": str(feeds), "AIRFLOW_CONN_BY_HAND": json.dumps(connection), "DEV": "1",
        # The scheduler beside it would run the DAG, too.
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        # At DEBUG the supervisor of this command, and of no other, writes down what it was told to mask.
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    }  # fmt: skip
    return subprocess.run(
        [str(Path(sys.executable).with_name("airflow")), "dags", "test", "lucko__bets__talkative", start],
        env={**stack.env, **told}, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def test_a_console_that_shows_variables_shows_no_secret(
    stack: AirflowStack, scenario: Scenario, tmp_path: Path
) -> None:
    connection = {"conn_type": "lucko", **stack.connections["lucko_demo"], "password": WRONG_KEY}
    done = by_hand(stack, scenario, tmp_path, connection)
    written = done.stdout + done.stderr
    assert "600100 (signature not accepted)" in written
    # The one that a person started with variables in frames, to be sure that there are some.
    assert "locals" in written
    assert leaks(written, secrets_of(stack)) == []


def test_a_wrong_key_fails_at_once(stack: AirflowStack) -> None:
    def failed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = stack.api("GET", "/dags/lucko__bets__forger/dagRuns?state=failed")["dag_runs"]
        return found

    (run,) = eventually(failed, seconds=60, what="the run with the wrong key has failed")
    path = f"/dags/lucko__bets__forger/dagRuns/{run['dag_run_id']}/taskInstances/pull_slice"
    task = stack.api("GET", path)
    # A try before may have met a fault of the network: that one is tried again, the wrong key is not.
    assert task["try_number"] < task["max_tries"]
    log = stack.api("GET", f"{path}/logs/{task['try_number']}?full_content=true")
    assert "signature not accepted" in str(log["content"])


def secrets_of(stack: AirflowStack) -> list[str]:
    """Every secret of the stack: of providers, of the login, of Airflow itself."""
    found = [stack.password]
    for fields in stack.connections.values():
        found.append(fields["password"])
        found += [value for key, value in fields.get("extra", {}).items() if key in ("api_key", "iv_secret")]
    found += [value for key, value in stack.env.items() if key.endswith(("FERNET_KEY", "SECRET_KEY", "JWT_SECRET"))]
    assert WRONG_KEY in found
    assert len(found) == 11
    return found


def answers_of_the_api(stack: AirflowStack) -> Iterator[tuple[str, str]]:
    """Yield (path, answer) of all that the REST API tells about connections, DAGs, runs, tasks, XComs and logs."""

    def ask(path: str) -> Any:
        return stack.api("GET", path)

    for path in ("connections?limit=100", "variables", "pools", "importErrors", "eventLogs?limit=1000", "plugins"):
        yield path, json.dumps(ask(f"/{path}"))
    for conn_id in (*stack.connections, "tieout_warehouse"):
        yield f"/connections/{conn_id}", json.dumps(ask(f"/connections/{conn_id}"))
    for dag in ask("/dags?limit=1000")["dags"]:
        dag_id = dag["dag_id"]
        for path in (f"/dags/{dag_id}/details", f"/dagSources/{dag_id}", f"/dags/{dag_id}/tasks"):
            yield path, json.dumps(ask(path))
        runs = ask(f"/dags/{dag_id}/dagRuns?limit=2&order_by=-start_date")["dag_runs"]
        runs += ask(f"/dags/{dag_id}/dagRuns?limit=2&state=failed")["dag_runs"]
        for run in runs:
            base = f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances"
            tasks = ask(f"{base}?limit=20")["task_instances"]
            yield base, json.dumps(tasks)
            for task in tasks:
                one = f"{base}/{task['task_id']}"
                yield f"{one}/xcomEntries", json.dumps(ask(f"{one}/xcomEntries?map_index={task['map_index']}"))
                if task["try_number"] and task["map_index"] < 0:
                    yield f"{one}/logs", json.dumps(ask(f"{one}/logs/{task['try_number']}?full_content=true"))


def test_the_api_tells_no_secret(stack: AirflowStack) -> None:
    secrets = secrets_of(stack)
    seen: Counter[str] = Counter()
    for path, answer in answers_of_the_api(stack):
        assert leaks(answer, secrets) == [], path
        seen[path.rpartition("/")[2].partition("?")[0]] += 1
    assert min(seen["details"], seen["xcomEntries"], seen["logs"], seen["taskInstances"]) > 10
    shown = stack.api("GET", "/connections/vertexplay_demo")
    assert (shown["password"], json.loads(shown["extra"])["api_key"]) == ("***", "***")


def test_no_file_and_no_table_holds_a_secret(stack: AirflowStack) -> None:
    secrets = secrets_of(stack)
    folders = [stack.landing, stack.home / "logs", stack.home / "airflow" / "logs"]
    found = [pair for folder in folders for pair in files(folder)]
    assert any(path.name == "attempt=1.log" and b"urllib3.connectionpool" in content for path, content in found)
    for path, content in found:
        assert leaks(content, secrets) == [], path
    for database in (stack.metadata, stack.warehouse):
        with connect(stack.postgres.url(database)) as connection:
            tables = list(rows(connection))
        assert len(tables) > 100
        for table, text in tables:
            assert leaks(text, secrets) == [], table


def test_what_is_looked_for_would_be_found(stack: AirflowStack) -> None:
    for secret in secrets_of(stack):
        assert leaks(json.dumps({"a": f"before {secret} after"}), [secret])
