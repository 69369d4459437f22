"""docker-compose.yaml holds together: everything that can be checked without a container engine."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
import yaml
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManagerRole
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from compose_file import FILE, FILLED, ROOT, Missing, example, interpolate, raw, references, resolved, script, services

import simulator
import tieout.__main__
from demo.postgres import EmbeddedPostgres
from simulator.__main__ import main as simulator_main
from tieout.core.quota import LATE_SHARE, SPACING, TIMER_GRANULARITY
from tieout.feeds import parse_agents
from tieout.settings import PULL_POOL, WAREHOUSE_CONN_ID, check_landing_is_shared

AIRFLOW = [
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-worker",
    "airflow-triggerer",
    "airflow-init",
]
ONE_SHOT = {"airflow-init", "demo-init"}
#: What Compose itself reads from .env.
COMPOSE_OWN = {"COMPOSE_PROFILES"}
SECRET_NAME = re.compile(r"PASSWORD(?!S_FILE)|SECRET|FERNET|TOKEN|AUTH\b|(?<!BASE)_URL$|_CONN$|BACKEND$", re.IGNORECASE)


# -- variables ------------------------------------------------------------------------------------------------------


def test_every_variable_is_in_the_example_and_the_other_way_round() -> None:
    required, optional = example()
    assert set(references()) == set(required) | (set(optional) - COMPOSE_OWN)


def test_required_variables_stop_the_start_with_a_sentence_and_have_no_value_in_the_example() -> None:
    required, _ = example()
    assert set(required) == set(FILLED)
    for name, value in required.items():
        assert value == "", f"{name} has a value in .env.example: everybody would use it"
        assert references()[name] == {(":?", f"set {name} in .env")}


def test_optional_variables_show_their_defaults() -> None:
    required, optional = example()
    for name in set(references()) - set(required):
        ((kind, default),) = references()[name]
        assert kind == ":-"
        assert default in optional[name]


@pytest.mark.parametrize("name", sorted(FILLED))
def test_a_missing_required_variable_is_named(name: str) -> None:
    with pytest.raises(Missing, match=f"{name}: set {name} in .env"):
        interpolate(raw(), {**FILLED, name: ""})


def test_the_demo_lines_of_the_example_name_the_profile_and_the_mounted_feeds() -> None:
    _, optional = example()
    (target,) = [mount["target"] for mount in raw()["x-airflow-common"]["configs"]]
    assert target in optional["TIEOUT_FEEDS"]
    assert optional["COMPOSE_PROFILES"] == ["demo"]


def test_no_secret_stands_in_the_file() -> None:
    for service, definition in raw()["services"].items():
        for name, value in definition.get("environment", {}).items():
            if not SECRET_NAME.search(name) or value.startswith(("file://", "http://airflow-apiserver")):
                continue
            assert "${" in value, f"{service}: {name} is written out"
            assert ":-" not in value, f"{service}: {name} has a default that everybody would use"
    text = FILE.read_text(encoding="utf-8")
    for user_info in re.findall(r"://[^/\s]*@", text):
        assert re.search(r":\$\{\w+:\?[^}]*\}@$", user_info), user_info


# -- services -------------------------------------------------------------------------------------------------------


def test_the_services_are_those_of_airflows_own_file_and_the_demo() -> None:
    assert set(services()) == {"postgres", "redis", *AIRFLOW, "simulator", "demo-init"}


def test_anchors_are_used() -> None:
    events = list(yaml.parse(FILE.read_text(encoding="utf-8")))
    aliases = {event.anchor for event in events if isinstance(event, yaml.AliasEvent)}
    unused = {event.anchor for event in events if getattr(event, "anchor", None)} - aliases
    assert unused == set()
    assert aliases == {"airflow-common", "airflow-common-env", "airflow-common-depends-on"}
    assert sum(isinstance(event, yaml.DocumentStartEvent) for event in events) == 1


def test_airflow_services_share_one_image_and_one_environment() -> None:
    common = resolved()["x-airflow-common"]
    for name in (*AIRFLOW, "demo-init"):
        service = services()[name]
        assert (service["image"], service["build"]) == (common["image"], common["build"])
        assert common["environment"].items() <= service["environment"].items(), name
        assert service["configs"] == common["configs"]


def test_every_airflow_service_mounts_landing_and_logs() -> None:
    common = resolved()["x-airflow-common"]["volumes"]
    assert {"landing:/opt/airflow/landing", "airflow-logs:/opt/airflow/logs"} < set(common)
    for name in (*AIRFLOW, "demo-init"):
        assert set(common) <= set(services()[name]["volumes"]), name


def test_the_password_file_is_seen_by_its_writer_and_its_reader_only() -> None:
    holders = {name for name, service in services().items() if any("auth:" in v for v in service.get("volumes", []))}
    assert holders == {"airflow-init", "airflow-apiserver"}
    file = Path(resolved()["x-airflow-common"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert f"auth:{file.parent}" in services()["airflow-apiserver"]["volumes"]


def test_every_user_has_a_role_of_airflow_and_a_password_from_the_initialisation() -> None:
    listed = resolved()["x-airflow-common"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    users = dict(one.split(":") for one in listed.split(","))
    assert users == {"admin": "admin"}
    assert {role.upper() for role in users.values()} <= set(SimpleAuthManagerRole.__members__)
    for name in users:
        assert f'"{name}": os.environ["AIRFLOW_ADMIN_PASSWORD"]' in script("airflow-init")


def test_volumes_are_declared_and_used() -> None:
    mounted = [volume.split(":") for service in services().values() for volume in service.get("volumes", [])]
    named = {source for source, *_ in mounted if not source.startswith(".")}
    assert named == set(resolved()["volumes"])
    for source in {source for source, *_ in mounted if source.startswith(".")}:
        assert (ROOT / source).exists()


def test_configs_are_declared_and_used() -> None:
    used = {mount["source"] for service in services().values() for mount in service.get("configs", [])}
    assert used == set(resolved()["configs"])


def test_dependencies_exist_and_can_come_true() -> None:
    for name, service in services().items():
        for needed, how in service.get("depends_on", {}).items():
            target = services()[needed]
            profiles = set(target.get("profiles", []))
            assert not profiles or profiles & set(service.get("profiles", [])), f"{name} waits for a profile's service"
            if needed in ONE_SHOT:
                assert how == {"condition": "service_completed_successfully"}, f"{name} → {needed}"
                assert target["restart"] == "no", f"{needed} would never complete"
            else:
                assert how == {"condition": "service_healthy"}, f"{name} → {needed}"
                assert target["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_dependencies_have_no_circle() -> None:
    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        for needed in services()[name].get("depends_on", {}):
            walk(needed, (*above, name))

    for name in services():
        walk(name, ())


@pytest.mark.parametrize("name", [name for name in AIRFLOW if name != "airflow-init"])
def test_airflow_components_wait_for_databases_and_initialisation(name: str) -> None:
    assert {"postgres", "redis", "airflow-init"} <= set(services()[name]["depends_on"])


def test_the_worker_waits_for_the_api_server_its_tasks_talk_to() -> None:
    assert services()["airflow-worker"]["depends_on"]["airflow-apiserver"] == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", sorted(set(services()) - ONE_SHOT))
def test_what_keeps_running_is_watched_and_restarted(name: str) -> None:
    service = services()[name]
    assert service["restart"] == "always"
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


def test_only_the_demo_has_a_profile() -> None:
    with_profile = {name: service["profiles"] for name, service in services().items() if "profiles" in service}
    assert with_profile == {"simulator": ["demo"], "demo-init": ["demo"]}


def test_only_the_api_server_is_published_and_on_loopback_unless_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {"airflow-apiserver": [f"127.0.0.1:8080:{conf.getint('api', 'port')}"]}


def test_the_simulator_is_given_no_secret() -> None:
    assert services()["simulator"]["environment"] == {"PYTHONPATH": "/opt/airflow/include"}


# -- options --------------------------------------------------------------------------------------------------------


def environment_names(prefix: str) -> set[str]:
    return {
        name
        for service in services().values()
        for name in service.get("environment", {})
        if name.startswith(prefix)
    }  # fmt: skip


def known_options() -> set[tuple[str, str]]:
    """Sections and options as Airflow describes them; Celery's too, which the core knows without its provider."""
    described = conf.configuration_description
    found = {(section, option) for section, content in described.items() for option in content["options"]}
    # The core keeps only those of Celery's options that have a default; this one has none.
    return found | {("celery", "result_backend")}


@pytest.mark.parametrize("name", sorted(environment_names("AIRFLOW__")))
def test_every_airflow_setting_is_an_option_of_airflow(name: str) -> None:
    _, section, option = name.split("__")
    assert (section.lower(), option.lower()) in known_options()


def test_a_misspelt_airflow_setting_would_be_found() -> None:
    assert ("core", "execution_api_server_url") in known_options()
    assert ("core", "execution_api_url") not in known_options()
    assert ("celery", "broker_url") in known_options()
    assert ("celery", "broker") not in known_options()


def variables_read_by(folder: Path) -> set[str]:
    """The TIEOUT_ names that code reads from os.environ."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
                key: ast.expr = node.args[0]
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                key = node.slice
            else:
                continue
            if isinstance(key, ast.Constant) and str(key.value).startswith("TIEOUT_"):
                found.add(str(key.value))
    return found


def test_every_tieout_setting_is_read_by_the_code() -> None:
    given = environment_names("TIEOUT_")
    assert {"TIEOUT_FEEDS", "TIEOUT_LANDING", "TIEOUT_LANDING_SHARED"} <= given
    assert given <= variables_read_by(ROOT / "plugins")


def test_every_other_variable_is_used_by_its_service() -> None:
    documented = {
        "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"},
        "redis": {"REDISCLI_AUTH"},
        "airflow-worker": {"DUMB_INIT_SETSID"},
    }
    for name, service in services().items():
        for variable in service.get("environment", {}):
            if variable.startswith(("AIRFLOW__", "TIEOUT_")) or variable == "PYTHONPATH":
                continue
            used = name in ONE_SHOT and f'os.environ["{variable}"]' in script(name)
            assert used or variable in documented.get(name, set()), f"{name}: {variable}"


def test_databases_and_queue_are_those_of_the_file() -> None:
    environment = resolved()["x-airflow-common"]["environment"]
    postgres, redis = services()["postgres"], services()["redis"]
    metadata = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    user, password, database = (
        postgres["environment"][name] for name in ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")
    )
    assert metadata == f"postgresql+psycopg://{user}:{password}@postgres/{database}"
    assert environment["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{metadata}"
    key = redis["command"][redis["command"].index("--requirepass") + 1]
    assert environment["AIRFLOW__CELERY__BROKER_URL"] == f"redis://:{key}@redis:{redis['expose'][0]}/0"
    assert redis["environment"]["REDISCLI_AUTH"] == key


def test_the_driver_named_in_urls_is_in_the_image() -> None:
    direct = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert re.search(r"^psycopg\[binary\]==", direct, re.MULTILINE)


def test_tasks_reach_the_api_server() -> None:
    environment = resolved()["x-airflow-common"]["environment"]
    port = conf.getint("api", "port")
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://airflow-apiserver:{port}/execution/"


def test_the_plugin_accepts_the_landing_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = resolved()["x-airflow-common"]["environment"]
    monkeypatch.setenv("TIEOUT_LANDING", environment["TIEOUT_LANDING"])
    monkeypatch.setenv("TIEOUT_LANDING_SHARED", environment["TIEOUT_LANDING_SHARED"])
    check_landing_is_shared(environment["AIRFLOW__CORE__EXECUTOR"])
    assert f"landing:{environment['TIEOUT_LANDING'].removeprefix('file://')}" in services()["airflow-worker"]["volumes"]


def test_the_pull_pool_is_smaller_than_the_worker() -> None:
    ((slots,),) = [re.findall(rf"airflow pools set {PULL_POOL} (\d+) ", script("airflow-init"))]
    assert int(slots) == 16
    concurrency = resolved()["x-airflow-common"]["environment"]["AIRFLOW__CELERY__WORKER_CONCURRENCY"]
    assert int(slots) < int(concurrency)


# -- commands -------------------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[list[str]]:
    """The Airflow and ``python -m`` commands of a shell text, without redirections."""
    without_python = re.sub(r"<<'PYTHON'\n.*?\nPYTHON\n", "\n", text, flags=re.DOTALL)
    for line in without_python.splitlines():
        for part in re.split(r"\|\||&&|\||;|>", line.split("# ")[0]):
            words = shlex.split(part)
            if words[:1] == ["airflow"] or words[:2] == ["python", "-m"]:
                yield words


def all_commands() -> list[list[str]]:
    found: list[list[str]] = []
    for name, service in services().items():
        if name in ONE_SHOT:
            found += commands(script(name))
        elif name in AIRFLOW:
            found.append(["airflow", *shlex.split(service["command"])])
        elif name == "simulator":
            found.append(service["command"])
        health = service.get("healthcheck", {}).get("test", [])
        if health[:1] == ["CMD-SHELL"]:
            found += commands(health[1])
    return found


def test_the_commands_are_found() -> None:
    heads = {" ".join(words[:3]) for words in all_commands()}
    assert {
        "airflow api-server", "airflow celery worker", "airflow db migrate", "airflow jobs check",
        "airflow connections import", "python -m tieout", "python -m simulator",
    } <= heads  # fmt: skip


@pytest.mark.parametrize("words", [w for w in all_commands() if w[0] == "airflow"], ids=" ".join)
def test_airflow_knows_the_command(words: list[str]) -> None:
    if words[1] == "celery" and importlib.util.find_spec("airflow.providers.celery") is None:
        # The provider is in the image only; its command line is not here to be asked.
        assert words == ["airflow", "celery", "worker"]
        assert re.search(
            r"^apache-airflow-providers-celery==", (ROOT / "requirements-celery.txt").read_text(), re.MULTILINE
        )
        return
    assert callable(get_parser().parse_args(words[1:]).func)


@pytest.mark.parametrize("words", [w for w in all_commands() if w[2:3] == ["tieout"]], ids=" ".join)
def test_tieout_knows_the_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for name in list(tieout.__main__.COMMANDS):
        monkeypatch.setitem(tieout.__main__.COMMANDS, name, lambda options: called.append(options.command) or 0)
    assert tieout.__main__.main(words[3:]) == 0
    assert called == ["migrate"]


@pytest.mark.parametrize("words", [w for w in all_commands() if w[2:3] == ["simulator"]], ids=" ".join)
def test_the_simulator_knows_the_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = [word for word in words[3:] if word != "--print-connections"]
    assert simulator_main([*asked, "--print-connections"]) == 0
    hosts = {connection["host"] for connection in json.loads(capsys.readouterr().out).values()}
    assert len(hosts) == 1
    assert hosts.pop().endswith(":8099")


def curl_path(service: str, port: int) -> str:
    *curl, url = services()[service]["healthcheck"]["test"]
    assert curl == ["CMD", "curl", "--fail"]
    assert url.startswith(f"http://localhost:{port}/")
    return str(url.removeprefix(f"http://localhost:{port}"))


def test_health_checks_ask_where_components_answer() -> None:
    from airflow.api_fastapi.core_api.routes.public import public_router

    assert curl_path("airflow-apiserver", conf.getint("api", "port")) == "/api/v2/version"
    assert "/api/v2/version" in {getattr(route, "path", "") for route in public_router.routes}
    assert curl_path("airflow-scheduler", conf.getint("scheduler", "scheduler_health_check_server_port")) == "/health"
    assert resolved()["x-airflow-common"]["environment"]["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "true"


def test_the_simulators_health_check_is_answered() -> None:
    path = curl_path("simulator", 8099)
    with simulator.serve(simulator.SimConfig(port=0)) as server:
        assert requests.get(f"{server.url}{path}", timeout=10).status_code == 200


# -- the demo's agents ----------------------------------------------------------------------------------------------


def demo_agents() -> str:
    return str(resolved()["configs"]["demo-feeds"]["content"])


def test_the_demo_declares_the_simulators_agents() -> None:
    declared = {agent.conn_id: agent.provider for agent in parse_agents(demo_agents())}
    served = {simulator.SimConfig.conn_id(agent): agent.provider for agent in simulator.DEFAULT_AGENTS}
    assert declared == served
    ((g_types,),) = [[agent.g_types for agent in simulator.DEFAULT_AGENTS if isinstance(agent, simulator.JdbAgent)]]
    (jdb,) = [feed for agent in parse_agents(demo_agents()) if agent.provider == "jdb" for feed in agent.feeds]
    assert jdb.options.g_types == g_types


def test_the_demos_intervals_keep_the_quota_the_simulator_enforces() -> None:
    command = services()["simulator"]["command"]
    config = simulator.SimConfig(quota_scale=float(command[command.index("--quota-scale") + 1]))
    for agent in parse_agents(demo_agents()):
        for feed in agent.feeds:
            enforced = config.interval_ms(feed.spec.provider, feed.spec.name)
            interval = feed.interval.total_seconds() * 1000
            late = max(interval * (SPACING - 1) * LATE_SHARE, TIMER_GRANULARITY * 1000)
            assert interval * SPACING - late >= enforced, feed.dag_id
            assert interval <= 2 * enforced, "the demo would be slower than it has to be"


# -- the initialisation, run for real -------------------------------------------------------------------------------


def run_script(service: str, environment: dict[str, str]) -> str:
    """Run a one-shot service's script with this interpreter's commands; returns its output."""
    inherited = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script(service)],
        env={**inherited, **environment, "PATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def here(service: str, postgres: EmbeddedPostgres, home: Path) -> dict[str, str]:
    """A service's environment with this machine's database and folders in place of the containers'."""
    (home / "demo-feeds.yaml").write_text(demo_agents(), encoding="utf-8")
    warehouse = postgres.url("tieout", "psycopg").set(username="tieout", password=FILLED["TIEOUT_WAREHOUSE_PASSWORD"])
    own = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": str(postgres.url("airflow")),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        # CeleryExecutor is in the image only.
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "TIEOUT_FEEDS": str(home / "demo-feeds.yaml"),
        "TIEOUT_LANDING": f"file://{home / 'landing'}",
        "TIEOUT_WAREHOUSE_URL": warehouse.render_as_string(hide_password=False),
        "PYTHONPATH": str(ROOT / "include"),
    }
    given: dict[str, Any] = services()[service]["environment"]
    folders = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    }
    return {**given, **folders, **{name: value for name, value in own.items() if name in given}}


@pytest.mark.airflow
def test_the_initialisation_makes_everything_and_may_run_again(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    postgres.create_database("airflow")
    environment = here("airflow-init", postgres, tmp_path)
    try:
        assert "4 agents declared" in run_script("airflow-init", environment)
        with psycopg.connect(host=str(postgres.socket_dir), user="postgres", dbname="airflow") as db:
            db.execute("UPDATE slot_pool SET slots = 9 WHERE pool = %s", (PULL_POOL,))
        (tmp_path / "passwords.json").write_text('{"admin": "old", "viewer": "kept"}')
        run_script("airflow-init", environment)
        run_script("demo-init", here("demo-init", postgres, tmp_path))
        check_initialised(postgres, tmp_path)
    finally:
        postgres.drop_database("tieout")
        postgres.drop_database("airflow")
        with psycopg.connect(host=str(postgres.socket_dir), user="postgres", dbname="postgres") as db:
            db.execute("DROP ROLE IF EXISTS tieout, tieout_reader")


def check_initialised(postgres: EmbeddedPostgres, home: Path) -> None:
    with psycopg.connect(host=str(postgres.socket_dir), user="postgres", dbname="airflow") as db:
        # What a person has changed in the UI stays.
        assert db.execute("SELECT slots FROM slot_pool WHERE pool = %s", (PULL_POOL,)).fetchone() == (9,)
        known = dict(db.execute("SELECT conn_id, conn_type FROM connection").fetchall())
        assert db.execute("SELECT has_database_privilege('tieout', 'airflow', 'CONNECT')").fetchone() == (False,)
        # Stored with the key of .env, not in the clear.
        assert db.execute("SELECT bool_and(is_encrypted) FROM connection").fetchone() == (True,)
    assert known == {
        WAREHOUSE_CONN_ID: "postgres",
        "lucko_demo": "lucko",
        "hotroad_demo": "hotroad",
        "jdb_demo": "jdb",
        "vertexplay_demo": "vertexplay",
    }
    with psycopg.connect(host=str(postgres.socket_dir), user="tieout", dbname="tieout") as db:
        assert db.execute("SELECT count(DISTINCT provider) FROM ops.agents").fetchone() == (4,)
        db.execute("CREATE TEMP TABLE incoming (x int)")
        # It can read and nothing else, and nobody can log in as it before a person says so.
        reader = """SELECT rolcanlogin, has_table_privilege(oid, 'ops.readings', 'SELECT'),
                           has_table_privilege(oid, 'ops.readings', 'INSERT, UPDATE, DELETE'),
                           has_database_privilege(oid, 'tieout', 'TEMP'),
                           has_database_privilege(oid, 'airflow', 'CONNECT')
                    FROM pg_roles WHERE rolname = 'tieout_reader'"""
        assert db.execute(reader).fetchall() == [(False, True, False, False, False)]
    passwords = json.loads((home / "passwords.json").read_text())
    assert passwords == {"admin": FILLED["AIRFLOW_ADMIN_PASSWORD"], "viewer": "kept"}
    assert (home / "passwords.json").stat().st_mode & 0o077 == 0
