"""A worker process: takes one task at a time, does what the operators do, and may be killed at any instant."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from demo.simulated import as_connection
from tieout.core.clock import Clock, SystemClock
from tieout.core.errors import RetryLater, SuspectReading, TieoutError
from tieout.core.http import HttpLimits
from tieout.core.slices import Slice
from tieout.feeds import AgentFeed, parse_agents
from tieout.ingest import Ingest, Landed
from tieout.providers import HOOKS
from tieout.providers.base import ProviderHook

#: The simulator hangs for longer than this; its largest right answer comes sooner.
LIMITS = HttpLimits(connect_timeout=5, read_timeout=3, max_body=8 * 1024 * 1024)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a worker needs to begin: where things are, and the declared agents as text."""

    url: str
    landing: str
    feeds_yaml: str
    connections: dict[str, dict[str, Any]]
    log: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """One of the two tasks of a slice: ``manifest`` None pulls it, else what was landed is loaded."""

    dag_id: str
    start: datetime
    end: datetime
    kind: str
    slices: tuple[tuple[datetime, datetime], ...] = ()
    manifest: Landed | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a task ended.

    ``outcome``: done (with what was landed), suspect, later (may be retried), fatal (may not), or bug.
    """

    outcome: str
    manifest: Landed | None = None
    detail: str = ""


def log_to(file: str) -> None:
    """Send all logging to *file*: importing Airflow has pointed it at the screen."""
    form = "%(asctime)s %(process)d %(levelname)s %(message)s"
    logging.basicConfig(filename=file, level=logging.INFO, format=form, force=True)


def work(pipe: Connection, settings: Settings) -> None:
    """Answer tasks until the pipe is closed."""
    log_to(settings.log)
    feeds = {feed.dag_id: feed for agent in parse_agents(settings.feeds_yaml) for feed in agent.feeds}

    def hook_for(declared: AgentFeed, clock: Clock) -> ProviderHook:
        connection = as_connection(declared.conn_id, settings.connections[declared.conn_id])
        hook = HOOKS[declared.spec.provider](declared.conn_id, connection=connection, clock=clock)
        hook.limits = LIMITS
        return hook

    ingest = Ingest(url=settings.url, landing=Path(settings.landing), clock=SystemClock(), hook_for=hook_for)
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(ingest, feeds[task.dag_id], task))


def _answer(ingest: Ingest, declared: AgentFeed, task: Task) -> Result:
    try:
        if task.manifest is not None:
            ingest.load(declared.spec, task.manifest)
            return Result(outcome="done")
        pieces = tuple(Slice(start, end) for start, end in task.slices)
        landed = ingest.pull(declared, Slice(task.start, task.end), kind=task.kind, slices=pieces)
        return Result(outcome="done", manifest=landed)
    except SuspectReading as error:
        return Result(outcome="suspect", detail=str(error))
    except RetryLater as error:
        return Result(outcome="later", detail=str(error))
    except TieoutError as error:
        return Result(outcome="fatal", detail=str(error))
    except Exception:
        return Result(outcome="bug", detail=traceback.format_exc())
