"""The services of the compose file as processes: started in the order it asks for, watched by its health checks."""

from __future__ import annotations

import secrets
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from demo.airflow_api import StackError
from demo.postgres import EmbeddedPostgres
from demo.processes import Child, Processes
from distributed.compose import Compose, Service
from distributed.native import Machine

#: Seconds from a start to the first health check that passes.
HEALTHY_WITHIN = 120.0
#: Seconds for what runs once.
ONE_SHOT_WITHIN = 240.0
#: PostgreSQL is the embedded one, whatever the file's image would run.
EMBEDDED = "postgres"


def fresh_secrets() -> dict[str, str]:
    """Return values for the variables that .env has to hold."""
    names = ("POSTGRES_PASSWORD", "TIEOUT_WAREHOUSE_PASSWORD", "REDIS_PASSWORD", "AIRFLOW_ADMIN_PASSWORD",
             "AIRFLOW_JWT_SECRET", "AIRFLOW_API_SECRET_KEY")  # fmt: skip
    return {
        **{name: secrets.token_hex(32) for name in names},
        "AIRFLOW_FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


@dataclass(kw_only=True)
class Cluster:
    """The running services. ``scale``: how many of a service, one unless given; ``more``: arguments for its command."""

    compose: Compose
    machine: Machine
    postgres: EmbeddedPostgres
    processes: Processes
    say: Callable[[str], None]
    scale: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, list[str]] = field(default_factory=dict)
    running: dict[str, list[Child]] = field(default_factory=dict)
    _healthy: set[str] = field(default_factory=set)

    def up(self, *names: str) -> None:
        """Start services and all they wait for; what runs once is done afterwards, what others wait for is healthy.

        Raises StackError, or ProcessDied.
        """
        for name in names:
            self._start(self.compose.services[name])

    def _start(self, service: Service) -> None:
        if service.name in self.running:
            return
        for name, condition in service.needs.items():
            self._start(self.compose.services[name])
            if condition == "service_healthy":
                self._wait_until_healthy(self.compose.services[name])
        if service.name == EMBEDDED:
            self._make_superuser(service)
            self.running[service.name] = []
        elif service.definition.get("restart") == "no":
            self._run_once(service)
            self.running[service.name] = []
        else:
            hosts = self.hostnames(service.name)
            self.running[service.name] = [self._spawn(service, host) for host in hosts]

    def hostnames(self, service: str) -> list[str]:
        """Return what the containers of a service are called."""
        number = self.scale.get(service, 1)
        return [service] if number == 1 else [f"{service}-{one}" for one in range(1, number + 1)]

    def _spawn(self, service: Service, hostname: str) -> Child:
        command = [*self.machine.command(service, hostname), *self.more.get(service.name, [])]
        env = self.machine.environment(service, hostname)
        return self.processes.start(hostname, command, env)

    def _run_once(self, service: Service) -> None:
        env = self.machine.environment(service, service.name)
        done = subprocess.run(
            self.machine.command(service, service.name), env=env, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=ONE_SHOT_WITHIN,
        )  # fmt: skip
        (self.processes.folder / f"{service.name}.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise StackError(f"{service.name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        self.say(f"{service.name} is done")

    def _make_superuser(self, service: Service) -> None:
        """What the image of PostgreSQL does with its environment."""
        given = service.environment
        role, database = sql.Identifier(given["POSTGRES_USER"]), given["POSTGRES_DB"]
        with psycopg.connect(
            host=str(self.postgres.socket_dir), user="postgres", dbname="postgres", autocommit=True
        ) as db:
            password = sql.Literal(given["POSTGRES_PASSWORD"])
            db.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(role, password))
            db.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), role))

    def _wait_until_healthy(self, service: Service) -> None:
        """Ask by the file's own health check, in every container, until it passes once."""
        if service.name in self._healthy or not self.running[service.name]:
            return
        check = self.machine.health_check(service)
        deadline = time.monotonic() + HEALTHY_WITHIN
        for hostname in self.hostnames(service.name):
            env = self.machine.environment(service, hostname)
            while (answer := _ask(check, env)) is not None:
                self.processes.check()
                if time.monotonic() > deadline:
                    raise StackError(f"{hostname} is not healthy after {HEALTHY_WITHIN:.0f} s: {answer}")
                time.sleep(1)
        self._healthy.add(service.name)
        self.say(f"{service.name} is healthy")


def _ask(check: list[str], env: Mapping[str, str]) -> str | None:
    """Run a health check; None when it passes, else what it said."""
    try:
        done = subprocess.run(
            check, env=dict(env), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
        )
    except subprocess.TimeoutExpired:
        return "no answer within 60 s"
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-500:]
