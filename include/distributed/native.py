"""What containers provide, provided by this machine: the one place where the compose file's words are replaced.

A container has a network with names, paths of its own, a host name and packages. Here every name and port becomes a
free port of 127.0.0.1 (PostgreSQL's a Unix socket), every mount a folder, and the image's packages are a virtual
environment made by the command that the Dockerfile uses. Everything else is taken from the file as it stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.processes import free_port
from distributed.compose import ROOT, Compose, Service

#: Where the image keeps the checkout (see Dockerfile), and so Airflow's home.
IMAGE_HOME = "/opt/airflow"
#: Names and ports of the file's network; what a container calls localhost is its own.
ADDRESSES = ("redis:6379", "airflow-apiserver:8080", "localhost:8080", "localhost:8974", "localhost:8099")
#: The same service under two names.
SAME = {"localhost:8080": "airflow-apiserver:8080"}
KEPT = ("HOME", "LANG", "TMPDIR")


@dataclass(kw_only=True)
class Machine:
    """This machine in place of containers. *folder* holds volumes; *packages* is the environment of the image.

    ``socket_dir``: where PostgreSQL listens.
    """

    compose: Compose
    folder: Path
    packages: Path
    socket_dir: Path
    ports: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        own = {address: free_port() for address in ADDRESSES if address not in SAME}
        self.ports = own | {address: own[same] for address, same in SAME.items()}
        self.home = self.folder / "home"
        for folder in (self.home, self.folder / "volumes", self.folder / "configs"):
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.compose.configs.items():
            (self.folder / "configs" / name).write_text(content, encoding="utf-8")

    def port(self, address: str) -> int:
        """Return the port that stands for ``name:port`` of the file's network."""
        return self.ports[address]

    def command(self, service: Service, hostname: str) -> list[str]:
        """Return the service's command, as its image's entry point would run it, in this machine's words."""
        words = [self._translated(word, service) for word in service.command]
        if service.name == "redis":
            # Containers have an address and a disk of their own.
            return [
                *words, "--bind", "127.0.0.1", "--port", str(self.port("redis:6379")),
                "--dir", str(self.folder), "--save", "",
            ]  # fmt: skip
        if service.name == "simulator":
            return [*words, "--host", "127.0.0.1", "--port", str(self.port("localhost:8099"))]
        if words[0] in ("bash", "python"):
            return words
        # The official image's entry point takes everything else for a command of Airflow's.
        named = ["--celery-hostname", f"celery@{hostname}"] if words == ["celery", "worker"] else []
        return ["airflow", *words, *named]

    def health_check(self, service: Service) -> list[str]:
        """Return the service's health check in this machine's words; empty when it has none."""
        words = [self._translated(word, service) for word in service.health_check]
        return [words[0], "-p", str(self.port("redis:6379")), *words[1:]] if words[:1] == ["redis-cli"] else words

    def environment(self, service: Service, hostname: str) -> dict[str, str]:
        """Return all that the service's processes find in their environment."""
        inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
        given = {name: self._translated(value, service) for name, value in service.environment.items()}
        return {**inherited, **self._of_the_image(hostname), **given}

    def _of_the_image(self, hostname: str) -> dict[str, str]:
        """What the image sets or a container has to itself: packages, folders, addresses to listen on, a name."""
        logs = self.folder / "volumes" / "airflow-logs"
        settings = {
            "CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "CORE__HOSTNAME_CALLABLE": "distributed.hostname.hostname",
            "LOGGING__BASE_LOG_FOLDER": str(logs),
            "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(logs / "dag_processor"),
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port("airflow-apiserver:8080")),
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.port("localhost:8974")),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        return {
            "PATH": os.pathsep.join([str(self.packages / "bin"), os.environ["PATH"]]),
            "AIRFLOW_HOME": str(self.home),
            "HOSTNAME": hostname,
            "PYTHONPATH": str(ROOT / "include"),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        }

    def _translated(self, text: str, service: Service) -> str:
        """Replace addresses, then paths."""
        text = re.sub(r"@postgres/(\w+)", rf"@/\1?host={self.socket_dir}", text)
        for address, port in self.ports.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(address)}\b", f"127.0.0.1:{port}", text)
        # demo-init's way of saying it.
        text = text.replace("--host simulator --port 8099", f"--host 127.0.0.1 --port {self.port('localhost:8099')}")
        for inside, here in sorted(self._paths(service).items(), reverse=True):
            text = text.replace(inside, str(here))
        return text

    def _paths(self, service: Service) -> Mapping[str, Path]:
        """Where the service's mounts are here. The longest come last, so that they are replaced first when reversed."""
        found = {IMAGE_HOME: ROOT}
        for mount in service.mounts:
            if mount.source.startswith("."):
                found[mount.target] = (ROOT / mount.source).resolve()
            elif mount.source in self.compose.configs:
                found[mount.target] = self.folder / "configs" / mount.source
            else:
                found[mount.target] = self.folder / "volumes" / mount.source
                found[mount.target].mkdir(parents=True, exist_ok=True)
        return found
