"""What Airflow's metadata and the ledger say of a run: who ran which slice, what is being run, what is certified."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg


@dataclass(frozen=True)
class TaskTry:
    """One try of one task instance."""

    dag_id: str
    task_id: str
    run_id: str

    def __str__(self) -> str:
        return f"{self.dag_id} {self.task_id} {self.run_id.partition('__')[2] or self.run_id}"


def running_on(metadata: psycopg.Connection, hostname: str) -> list[TaskTry]:
    """Return the tasks that Airflow takes to be running on a host."""
    rows = metadata.execute(
        "SELECT dag_id, task_id, run_id FROM task_instance WHERE state = 'running' AND hostname = %s ORDER BY 1, 2, 3",
        (hostname,),
    ).fetchall()
    return [TaskTry(*row) for row in rows]


def states_of(metadata: psycopg.Connection, tasks: list[TaskTry]) -> dict[TaskTry, tuple[str, str]]:
    """Return the state of tasks and the host of their newest try."""
    found = {}
    for task in tasks:
        row = metadata.execute(
            "SELECT state, hostname FROM task_instance WHERE dag_id = %s AND task_id = %s AND run_id = %s",
            (task.dag_id, task.task_id, task.run_id),
        ).fetchone()
        found[task] = (str(row[0]), str(row[1])) if row else ("absent", "")
    return found


def slices_by_host(metadata: psycopg.Connection) -> dict[str, int]:
    """Return how many slices each host has pulled successfully."""
    rows = metadata.execute(
        """SELECT hostname, count(*) FROM task_instance
           WHERE task_id = 'pull_slice' AND state = 'success' GROUP BY hostname ORDER BY hostname"""
    ).fetchall()
    return {str(host): int(count) for host, count in rows}


def certified_slices(ledger: psycopg.Connection) -> tuple[int, int]:
    """Return how many slices are certified, and how many there have to be."""
    row = ledger.execute(
        "SELECT count(*) FILTER (WHERE status = 'certified'), count(*) FROM ops.slice_status"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
