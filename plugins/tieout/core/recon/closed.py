"""Days whose rows may have been shed: what was found out about them stands and is never worked out anew."""

from __future__ import annotations

from datetime import date

import psycopg


def closed_before(connection: psycopg.Connection, *, provider: str, agent: str) -> date | None:
    """Return the day before which the agent's days are closed; None when nothing was ever shed."""
    row = connection.execute(
        "SELECT before FROM ops.shed WHERE provider = %s AND agent = %s", (provider, agent)
    ).fetchone()
    return None if row is None else row[0]
