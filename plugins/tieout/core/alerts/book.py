"""The book of alerts, ``ops.alerts``: opened with a cause, closed when it is gone, given once to each notifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from tieout.core.alerts.causes import Cause

_OPEN = """
INSERT INTO ops.alerts (kind, cause, provider, feed, agent, since, until, detail)
VALUES (%(kind)s, %(cause)s, %(provider)s, %(feed)s, %(agent)s, %(since)s, %(until)s, %(detail)s)
ON CONFLICT (kind, cause) WHERE closed_at IS NULL
DO UPDATE SET since = excluded.since, until = excluded.until, detail = excluded.detail
WHERE (ops.alerts.since, ops.alerts.until, ops.alerts.detail)
    IS DISTINCT FROM (excluded.since, excluded.until, excluded.detail)
"""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An open alert."""

    alert_id: int
    kind: str
    cause: str
    provider: str
    feed: str
    agent: str
    since: datetime | None
    until: datetime | None
    detail: str
    opened_at: datetime


def open_new(connection: psycopg.Connection, causes: Sequence[Cause]) -> None:
    """Open an alert for every cause that has none; those that have one say from now on what the cause says now."""
    with connection.cursor() as cursor:
        cursor.executemany(_OPEN, [vars(cause) for cause in causes])


def close_vanished(connection: psycopg.Connection, causes: Sequence[Cause]) -> int:
    """Close the alerts whose cause is gone; return how many. A cause that comes back is told again."""
    return connection.execute(
        """UPDATE ops.alerts SET closed_at = now()
           WHERE closed_at IS NULL AND (kind, cause) NOT IN (
               SELECT kind, cause FROM unnest(%s::text[], %s::text[]) AS c (kind, cause))""",
        ([cause.kind for cause in causes], [cause.cause for cause in causes]),
    ).rowcount


def unsent(connection: psycopg.Connection, notifier: str) -> list[Alert]:
    """Return the open alerts that *notifier* has not been given, ordered by kind and cause."""
    with connection.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(
            """SELECT alert_id, kind, cause, provider, feed, agent, since, until, detail, opened_at
               FROM ops.alerts WHERE closed_at IS NULL AND NOT sent_to @> ARRAY[%s] ORDER BY kind, cause""",
            (notifier,),
        ).fetchall()


def mark_sent(connection: psycopg.Connection, notifier: str, alerts: Sequence[Alert]) -> None:
    """Remember that *notifier* was given the alerts."""
    connection.execute(
        "UPDATE ops.alerts SET sent_to = sent_to || %s::text WHERE alert_id = ANY(%s)",
        (notifier, [alert.alert_id for alert in alerts]),
    )
