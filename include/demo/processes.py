"""Child processes that never outlive their owner: own sessions, logs in files, stopped in reverse order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

#: Seconds; then what has not ended by itself is ended.
STOP_GRACE = 20.0


class PortBusy(RuntimeError):
    """A port that is needed is taken by another program."""


class ProcessDied(RuntimeError):
    """A component ended although it should run."""


def require_free_port(port: int, *, setting: str, what: str) -> None:
    """Raise PortBusy, naming the port and the setting that changes it, unless 127.0.0.1:*port* can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortBusy(
                f"port {port} for {what} is not free ({error.strerror}); set {setting} to another port, "
                f"for example: {setting}={port + 1} make demo"
            ) from None


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Child:
    """One running component and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 15) -> str:
        """Return the end of the component's log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


@dataclass
class Processes:
    """Starts components, notices when one dies, stops them all on leaving.

    ``register``: a file that names the running process groups, so that a later run can end what a killed one left.
    """

    folder: Path
    register: Path
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> Processes:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        """Start a component in a session, and so a process group, of its own."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command), env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        child = Child(name, process, log)
        self.children.append(child)
        self._write_register()
        return child

    def check(self) -> None:
        """Raise ProcessDied, with the end of its log, when a component has ended."""
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                raise ProcessDied(
                    f"{child.name} ended with exit code {code}; its log {child.log} ends:\n{child.tail()}"
                )

    def freeze(self, child: Child) -> None:
        """Stop a component's processes where they stand, as when a machine hangs."""
        _signal_session(child.process.pid, signal.SIGSTOP)

    def thaw(self, child: Child) -> None:
        """Let a frozen component go on."""
        _signal_session(child.process.pid, signal.SIGCONT)

    def kill(self, child: Child) -> None:
        """End a component and everything it started at once, as when its machine dies; it is not missed afterwards."""
        _signal_session(child.process.pid, signal.SIGKILL)
        child.process.wait()
        self.children.remove(child)
        self._write_register()

    def stop(self) -> None:
        """Ask every group to end, last started first; end what does not."""
        for child in reversed(self.children):
            _signal_group(child.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_GRACE
        for child in reversed(self.children):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(deadline - time.monotonic(), 0.1))
            # Workers of a component that ended on its own may still live in its session.
            _signal_session(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self.children.clear()
        self.register.unlink(missing_ok=True)

    def _write_register(self) -> None:
        groups = [
            {"pid": child.process.pid, "name": child.name, "created": psutil.Process(child.process.pid).create_time()}
            for child in self.children
            if psutil.pid_exists(child.process.pid)
        ]
        self.register.write_text(json.dumps({"owner": os.getpid(), "groups": groups}))


def end_leftovers(register: Path) -> list[str]:
    """End the components a killed run left behind and return their names; a live run's are not touched."""
    try:
        recorded = json.loads(register.read_text())
    except (OSError, ValueError):
        return []
    ended = []
    for group in recorded["groups"]:
        with contextlib.suppress(psutil.Error):
            # A pid alone may have been given to another program since.
            if abs(psutil.Process(group["pid"]).create_time() - group["created"]) > 1:
                continue
            leader = psutil.Process(group["pid"])
            family = [leader, *leader.children(recursive=True)]
            _signal_session(group["pid"], signal.SIGKILL)
            # Their ports are free only when they are gone.
            psutil.wait_procs(family, timeout=STOP_GRACE)
            ended.append(str(group["name"]))
    register.unlink(missing_ok=True)
    return ended


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def session_of(leader: int) -> list[int]:
    """Return the processes of a component: Airflow gives each task a process group, but none leaves the session."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader:
                found.append(pid)
    return found


def _signal_session(leader: int, number: int) -> None:
    for pid in session_of(leader):
        # A process that ends meanwhile needs no signal.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
