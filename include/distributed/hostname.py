"""The name of the container a process would be in: what Airflow's ``core.hostname_callable`` is pointed at."""

from __future__ import annotations

import os


def hostname() -> str:
    """Return ``HOSTNAME``, which container engines set to a name of each container's own."""
    return os.environ["HOSTNAME"]
