"""A real Airflow on this machine: api-server, scheduler, dag-processor and triggerer on embedded PostgreSQL.

LocalExecutor, metadata and warehouse in the same server, landing on disk. Shared by the demo and the tests.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.airflow_api import USER, AirflowApi, StackError
from demo.postgres import EmbeddedPostgres
from demo.processes import Processes, free_port

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
__all__ = ["ROOT", "USER", "AirflowStack", "StackError"]


@dataclass
class AirflowStack:
    """Airflow below *home*. ``connections``: conn_id → fields, ``environment``: further settings of all components.

    ``metadata`` and ``warehouse`` name its two databases.
    """

    home: Path
    postgres: EmbeddedPostgres
    processes: Processes
    feeds: Path
    port: int = 0
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    metadata: str = "airflow"
    warehouse: str = "tieout"
    parallelism: int = 8
    pull_slots: int = 6
    password: str = field(default_factory=lambda: secrets.token_urlsafe(9))

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        self.landing = self.home / "landing"
        self._env = self._environment()
        self._api = AirflowApi(self.url, self.password)

    @property
    def url(self) -> str:
        """Where the UI and the API are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment every component runs with."""
        return dict(self._env)

    @property
    def warehouse_url(self) -> Any:
        """The SQLAlchemy URL of the warehouse."""
        return self.postgres.url(self.warehouse)

    def prepare(self) -> None:
        """Create both databases, migrate them, create the pool, the connections and the login."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.landing.mkdir(exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.write_text(json.dumps({USER: self.password}))
        passwords.chmod(0o600)
        for database in (self.metadata, self.warehouse):
            self.postgres.create_database(database)
        wanted = {
            "pool": {"name": "tieout_pull", "slots": self.pull_slots, "description": "Concurrent pulls of tieout"},
            "connections": {
                "tieout_warehouse": {
                    "conn_type": "postgres",
                    "host": str(self.postgres.socket_dir),
                    "login": "postgres",
                    "schema": self.warehouse,
                },
                **self.connections,
            },
        }
        self._run("demo.bootstrap", json.dumps(wanted))
        self._run("tieout", "", "migrate")

    def start(self) -> None:
        """Start the four components."""
        airflow = str(Path(sys.executable).with_name("airflow"))
        for component in COMPONENTS:
            self.processes.start(component, [airflow, component], self._env)

    def wait_until_ready(self, progress: Callable[[], None] = lambda: None) -> None:
        """Return when every component reports healthy. Raises StackError or ProcessDied."""

        def meanwhile() -> None:
            self.processes.check()
            progress()

        self._api.wait_until_healthy(meanwhile)

    def api(self, method: str, path: str, **kwargs: Any) -> Any:
        """Call Airflow's REST API (``/api/v2``) as the admin and return the JSON answer. Raises StackError."""
        return self._api.call(method, path, **kwargs)

    def _run(self, module: str, stdin: str, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            input=stdin, env=self._env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StackError(f"python -m {module} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")

    def _environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "TIEOUT"))}
        metadata = f"postgresql+psycopg2://postgres:@/{self.metadata}?host={self.postgres.socket_dir}"
        settings = {
            "CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": str(self.parallelism),
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "CORE__TEST_CONNECTION": "Enabled",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "DATABASE__SQL_ALCHEMY_CONN": metadata,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__BASE_URL": self.url,
            "API__WORKERS": "1",
            "API__SECRET_KEY": secrets.token_hex(16),
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        return {
            **inherited,
            "AIRFLOW_HOME": str(self.home / "airflow"),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            # This checkout's tieout, whichever may be installed besides.
            "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("include", "plugins")),
            "TIEOUT_FEEDS": str(self.feeds),
            "TIEOUT_LANDING": f"file://{self.landing}",
            **self.environment,
        }
