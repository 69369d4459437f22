"""Which statements must be written anew: noted by what changes them, in its own transaction.

A note is a row of its own and never changed, so that those who note and those who write never wait for each other. It
is taken away once the statement was written, and only if it was seen before that: what is noted meanwhile stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
from sqlalchemy import URL

from tieout.core import storage
from tieout.core.errors import Unreachable
from tieout.core.recon.statement import folder_of
from tieout.core.recon.statement_data import TREND
from tieout.core.storage import PathLike
from tieout.core.warehouse import connect


@dataclass(frozen=True, kw_only=True)
class Due:
    """The days whose statements are to be written, in order, and the notes that say so."""

    days: tuple[date, ...]
    notes: tuple[int, ...]


def note_statements(
    connection: psycopg.Connection,
    *,
    provider: str,
    agent: str,
    days: Collection[date],
    in_trend: Collection[date] = (),
) -> None:
    """Note that the statements of *days* may differ; of *in_trend*, those of the days after them, too.

    The caller commits.
    """
    connection.execute(
        """INSERT INTO recon.statements_due (provider, agent, day, in_trend)
           SELECT %s, %s, day, day = ANY(%s::date[]) FROM unnest(%s::date[]) AS d (day) ORDER BY day""",
        (provider, agent, list(in_trend), sorted({*days, *in_trend})),
    )


def read_due(
    url: str | URL, *, provider: str, agent: str, base: PathLike, days: Collection[date] = ()
) -> Due:  # fmt: skip
    """Return which statements below *base* are to be written: those of *days*, those noted, and those showing these.

    The trend of a statement shows the days before it; only statements that exist are written for that. Raises
    Unreachable when the warehouse or the landing base is.
    """
    with connect(url) as connection:
        notes = connection.execute(
            "SELECT due_id, day, in_trend FROM recon.statements_due WHERE provider = %s AND agent = %s ORDER BY due_id",
            (provider, agent),
        ).fetchall()
    shown = {day for _, day, in_trend in notes if in_trend}
    after = {day + timedelta(days=age) for day in shown for age in range(1, TREND)}
    if after:
        after &= _written(folder_of(base, provider, agent))
    found = {*days, *(day for _, day, _ in notes), *after}
    return Due(days=tuple(sorted(found)), notes=tuple(due_id for due_id, _, _ in notes))


def take_away(url: str | URL, due: Due) -> None:
    """Take the notes away whose statements were written. Raises Unreachable when the warehouse is lost."""
    if due.notes:
        with connect(url) as connection:
            connection.execute("DELETE FROM recon.statements_due WHERE due_id = ANY(%s::bigint[])", (list(due.notes),))


def _written(folder: PathLike) -> set[date]:
    """Return the days that have a statement."""
    found = set()
    try:
        paths = storage.files_below(folder, 1)
    except OSError as error:
        raise Unreachable(
            f"cannot list the statements in {folder}: {error}.",
            advice="Mend the permissions of the landing base (TIEOUT_LANDING).",
        ) from error
    for path in paths:
        day, _, ending = str(path.name).partition(".")
        with contextlib.suppress(ValueError):
            if ending == "html":
                found.add(date.fromisoformat(day))
    return found
