"""What a worker costs: processor time and memory of all its processes."""

from __future__ import annotations

import contextlib

import psutil

from demo.processes import Child, session_of


def processor_seconds(child: Child) -> float:
    """Return the processor time of a component so far, in user and system mode, ended children included."""
    seconds = 0.0
    for pid in session_of(child.process.pid):
        with contextlib.suppress(psutil.Error):
            seconds += sum(psutil.Process(pid).cpu_times()[:4])
    return seconds


def memory_mib(child: Child) -> float:
    """Return the memory of a component in MiB; what its processes share counts once."""
    total = 0
    for pid in session_of(child.process.pid):
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_full_info().pss
    return total / 2**20
