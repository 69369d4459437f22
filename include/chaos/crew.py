"""The crew: worker processes over one queue, retried as Airflow would, killed as an out-of-memory killer would."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from chaos.worker import Result, Settings, Task, work

log = logging.getLogger(__name__)

#: Tasks of one DAG at a time, as the pull operators have it.
PER_DAG = 2
RETRIES = 12
RETRY_SECONDS = 1.0


@dataclass(kw_only=True)
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    task: Task | None = None


@dataclass(kw_only=True)
class Crew:
    """Runs tasks to their end. A killed worker's task goes back into the queue.

    Raises TimeoutError when the *deadline* (monotonic seconds) passes before.
    """

    settings: Settings
    size: int
    deadline: float
    tries: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    suspect: list[tuple[Task, str]] = field(default_factory=list)
    fatal: list[tuple[Task, str]] = field(default_factory=list)
    bugs: list[tuple[Task, str]] = field(default_factory=list)
    killed: int = 0
    _workers: list[_Worker] = field(default_factory=list)
    _queue: list[tuple[float, int, Task]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __enter__(self) -> Crew:
        # Forked from a process that has imported everything: a new worker costs milliseconds.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["chaos.worker"])
        self._workers = [self._hire() for _ in range(self.size)]
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
            worker.process.join()

    def run(self, tasks: Iterable[Task], meanwhile: Callable[[float], None] = lambda done: None) -> None:
        """Run *tasks* until none is left; *meanwhile* is called again and again with the share that is done."""
        wanted = list(tasks)
        for task in wanted:
            self._enqueue(task)
        while self._queue or any(worker.task for worker in self._workers):
            if time.monotonic() > self.deadline:
                raise TimeoutError(f"{len(self._queue)} tasks are still waiting, for example {self._queue[:3]}")
            self._assign()
            self._collect()
            open_tasks = len(self._queue) + sum(worker.task is not None for worker in self._workers)
            meanwhile(1 - open_tasks / max(len(wanted), 1))

    def kill_one(self, choose: Callable[[list[int]], int]) -> None:
        """Kill a busy worker, without a word."""
        busy = [worker for worker in self._workers if worker.task is not None and worker.process.pid]
        if not busy:
            return
        pid = choose(sorted(worker.process.pid or 0 for worker in busy))
        os.kill(pid, signal.SIGKILL)
        self.killed += 1

    def _hire(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self.settings), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process=process, pipe=ours)

    def _enqueue(self, task: Task, after: float = 0.0) -> None:
        heapq.heappush(self._queue, (time.monotonic() + after if after else 0.0, next(self._numbers), task))

    def _assign(self) -> None:
        idle = [worker for worker in self._workers if worker.task is None]
        busy = Counter(worker.task.dag_id for worker in self._workers if worker.task is not None)
        waiting: list[tuple[float, int, Task]] = []
        now = time.monotonic()
        while idle and self._queue:
            entry = heapq.heappop(self._queue)
            task = entry[2]
            if entry[0] > now or busy[task.dag_id] >= PER_DAG:
                waiting.append(entry)
                continue
            worker = idle.pop()
            busy[task.dag_id] += 1
            worker.task = task
            # One that was killed a moment ago cannot take it: its sentinel tells.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                worker.pipe.send(task)
        for entry in waiting:
            heapq.heappush(self._queue, entry)

    def _collect(self) -> None:
        by_handle: dict[object, _Worker] = {}
        for worker in self._workers:
            by_handle[worker.pipe] = worker
            by_handle[worker.process.sentinel] = worker
        handles: list[Any] = [handle for worker in self._workers for handle in (worker.pipe, worker.process.sentinel)]
        for handle in wait(handles, timeout=0.1):
            worker = by_handle[handle]
            if worker not in self._workers:
                continue
            try:
                result: Result | None = worker.pipe.recv() if worker.pipe.poll() else None
            except (EOFError, ConnectionResetError):
                result = None
            if result is not None:
                self._settle(worker, result)
            elif not worker.process.is_alive():
                self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._hire()
        if worker.task is not None:
            log.info("worker %s died with %s; its task is retried", worker.process.pid, worker.task)
            self._enqueue(worker.task)

    def _settle(self, worker: _Worker, result: Result) -> None:
        task = worker.task
        worker.task = None
        assert task is not None
        if result.outcome == "done" and task.manifest is None:
            self._enqueue(replace(task, manifest=result.manifest))
        elif result.outcome == "later":
            self._retry(task, result.detail)
        elif result.outcome != "done":
            kept = {"suspect": self.suspect, "fatal": self.fatal, "bug": self.bugs}[result.outcome]
            kept.append((task, result.detail))
            log.info("%s: %s: %s", result.outcome, task, result.detail)

    def _retry(self, task: Task, detail: str) -> None:
        name = (task.dag_id, str(task.start), "pull" if task.manifest is None else "load")
        self.tries[name] += 1
        if self.tries[name] > RETRIES:
            # As in Airflow: the task fails, and its slice is left to a repair.
            self.fatal.append((task, detail))
            return
        log.info("retry %d of %s: %s", self.tries[name], name, detail)
        # Airflow would wait as long as the error says; nothing here lasts so long.
        self._enqueue(task, after=RETRY_SECONDS)
