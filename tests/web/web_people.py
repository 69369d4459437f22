"""People whose permissions a test chooses, and rows of the ledger written at will."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

HOST = "http://testserver"
HOSTILE = '<script>alert("x")</script>'
INJECTION = "a'; drop table recon.breaks; --"
FORMULA = "=cmd|' /C calc'!A0"


@dataclass
class Person:
    """A user of Airflow: the DAGs he may read and those he may edit."""

    name: str
    reads: set[str] = field(default_factory=set)
    edits: set[str] = field(default_factory=set)

    def get_id(self) -> str:
        return self.name

    def get_name(self) -> str:
        return self.name


class Permissions:
    """An auth manager that asks the person."""

    def get_authorized_dag_ids(self, *, user: Person, method: str = "GET") -> set[str]:
        return set(user.reads if method == "GET" else user.edits)

    def is_authorized_dag(self, *, method: str, user: Person, details: Any, access_entity: Any = None) -> bool:
        return details.id in (user.reads if method == "GET" else user.edits)


def declare(db: psycopg.Connection, provider: str, feed: str, agent: str, start: datetime, **columns: Any) -> None:
    """Write a feed to ops.agents, hourly unless told otherwise."""
    values = {
        "slice_width": timedelta(hours=1), "slice_anchor": timedelta(0), "lag": timedelta(minutes=2),
        "reach": timedelta(days=90), "stop_at": None, "merchant_id": None, "first_known_at": start, **columns,
    }  # fmt: skip
    db.execute(
        """INSERT INTO ops.agents (provider, feed, agent, start_at, stop_at, slice_width, slice_anchor, lag, reach,
               merchant_id, first_known_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (provider, feed, agent, start, *(values[name] for name in (
            "stop_at", "slice_width", "slice_anchor", "lag", "reach", "merchant_id", "first_known_at"))),
    )  # fmt: skip


def read(
    db: psycopg.Connection, provider: str, feed: str, agent: str, start: datetime, end: datetime, *,
    state: str = "certified", rows: int = 1,
) -> None:  # fmt: skip
    """Write a reading of ``[start, end)`` to the ledger."""
    db.execute(
        """INSERT INTO ops.readings (reading_id, provider, feed, agent, slice_start, slice_end, kind, state, pages,
               rows, landing_uri, sha256, pulled_at, finished_at, loaded_at)
           VALUES (gen_random_uuid()::text, %s, %s, %s, %s, %s, 'first', %s, 1, %s, 'landing', 'sha', %s, %s, %s)""",
        (provider, feed, agent, start, end, state, rows, end, end, end),
    )
