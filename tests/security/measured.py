"""What a hostile answer costs: run in a child process, with the memory and the time that it took."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL

PRELOADED = ["measured", "tieout.core.load", "tieout.providers"]
#: A call that costs more than this would be felt on a worker that makes a handful at a time.
MEGABYTES = 400


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How a call ended, and by how much the process grew at its highest."""

    error: str
    message: str
    megabytes: float
    seconds: float


def measure(work: Callable[..., object], *arguments: Any, timeout: float = 60) -> Cost:
    """Run ``work(*arguments)`` in a process of its own and return what it cost. *work* stands in this module."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(sender, work, arguments), daemon=True)
    child.start()
    sender.close()
    try:
        assert receiver.poll(timeout), f"still busy after {timeout:.0f} s"
        cost: Cost = receiver.recv()
    finally:
        child.kill()
        child.join()
    return cost


def _child(sender: Any, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    before, started = _peak(), time.monotonic()
    error = message = ""
    try:
        work(*arguments)
    except Exception as caught:
        error, message = type(caught).__name__, str(caught)
    sender.send(
        Cost(error=error, message=message, megabytes=_peak() - before, seconds=time.monotonic() - started)
    )  # fmt: skip


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_bets(url: str, limits: dict[str, float]) -> None:
    """Make one call with the bounds of production (those in *limits* changed), and look at what came as bets."""
    import requests

    from tieout.core.clock import SystemClock
    from tieout.core.http import HttpLimits, call, new_session
    from tieout.providers import feed_spec

    body = call(new_session(), requests.Request("GET", url), clock=SystemClock(), limits=HttpLimits(**limits))  # type: ignore[arg-type]
    feed_spec("lucko", "bets").read_page(body)


def load(warehouse: URL, manifest: str) -> None:
    """Load a landed reading of bets."""
    from pathlib import Path

    from tieout.core.load import load_reading
    from tieout.providers import feed_spec

    path = Path(manifest)
    load_reading(warehouse, feed_spec("lucko", "bets"), path, path.parent)
