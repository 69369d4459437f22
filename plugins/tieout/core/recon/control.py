"""Control totals: one query over a whole range against the sum of the range's slices.

The slices of HotRoad's summary are hours; the provider also answers 24 hours at once, summed by itself. Such an answer
is landed in a folder of its own and compared, never loaded: it tells no hours. A difference is an integrity break
``control_total``. It means that one of the two readings is older than the other (a bet that settles late changes the
hour it was placed in, so read the hours again and compare again) or that the provider's reports contradict each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import URL

from tieout.core import landing
from tieout.core.contract import RowRejected
from tieout.core.errors import ContractBroken
from tieout.core.feed import FeedSpec, whole_windows
from tieout.core.landing import Manifest
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.recon.daily import statement
from tieout.core.slices import stamp
from tieout.core.storage import PathLike
from tieout.core.warehouse import connect

KIND = "control"
#: The folder below the landing base, beside the providers' own: what reads landing again never takes it for slices.
FOLDER = "controls"
DAY = timedelta(days=1)
FIGURES = (
    "bet_amount", "real_credit", "free_credit", "promotion_credit", "win_loss", "win_amount", "valid_bet", "commission",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ControlSummary:
    """How a comparison came out: ``equal``, ``differs`` or ``incomplete`` (hours without a certified reading)."""

    state: str
    games: int
    differing: int
    hours_open: int
    control_read_at: datetime
    hours_read_from: datetime | None
    hours_read_to: datetime | None

    def __str__(self) -> str:
        return f"{self.state}: {self.games} games, {self.differing} figures differ, {self.hours_open} hours open"


def pull_control(puller: SlicePuller, plan: PullPlan, *, width: timedelta = DAY) -> str:
    """Read *plan*'s slice in windows of *width* instead of the feed's own; return the path of its manifest.

    It waits for the same quota as the feed and lands below ``controls/``; the ledger does not know it. Raises what
    ``SlicePuller.pull`` raises.
    """
    feed = replace(plan.feed, max_window=width, slice_width=width, windows=whole_windows(width))
    control = replace(puller, landing=puller.landing / FOLDER)
    result = control.pull(replace(plan, feed=feed, kind=KIND))
    return result if isinstance(result, str) else result[0]


def compare_control(url: str | URL, feed: FeedSpec, manifest_path: PathLike, *, timezone: str) -> ControlSummary:
    """Compare a landed control total with the staged hours; write recon.control_totals and its integrity breaks.

    While an hour has no certified reading the comparison is ``incomplete``: no break opens or heals. *timezone*
    decides the day the range is listed under (its first instant's). Raises FatalError when landing is damaged,
    ContractBroken when a row breaks the feed's contract, Unreachable when the warehouse is lost.
    """
    manifest = landing.read_manifest(manifest_path)
    rows = list(_rows(feed, manifest, manifest_path.parent))
    parameters: dict[str, Any] = {
        "provider": manifest.provider,
        "feed": manifest.feed,
        "agent": manifest.agent,
        "currency": manifest.options.get("currency") or "",
        "starts": manifest.slice_start,
        "ends": manifest.slice_end,
        "width": feed.slice_width,
        "day": manifest.slice_start.astimezone(ZoneInfo(timezone)).date(),
        "prefix": f"{stamp(manifest.slice_start)}_{stamp(manifest.slice_end)}/",
        "rows": json.dumps(rows),
        "control_read_at": manifest.pulled_at,
        "landing_uri": str(manifest_path),
    }
    with connect(url) as connection:
        # One comparison of a range at a time, and none while a refresh of the mart heals breaks.
        lock = f"tieout:mart:{manifest.provider}:{manifest.agent}"
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock,))
        return _compare(connection, parameters)


def _rows(feed: FeedSpec, manifest: Manifest, folder: PathLike) -> Iterator[dict[str, str]]:
    for _, entry in manifest.pages():
        for raw in feed.read_page(landing.read_page(folder, entry)).rows:
            try:
                row = dict(zip(feed.codec.columns, feed.codec.values(feed.codec.decode(raw)[0]), strict=True))
            except RowRejected as rejected:
                raise ContractBroken(
                    f"a row of the control total {manifest.reading_id} breaks the contract: {rejected.detail}.",
                    advice="Nothing was compared; look at the answer in landing and pull the control total again.",
                ) from rejected
            for figure in FIGURES:
                # As text: JSON's numbers would pass through a float.
                yield {
                    "game_type": row["game_type"], "game_code": row["game_code"], "figure": figure,
                    "amount": row[figure] or "0",
                }  # fmt: skip


def _compare(connection: psycopg.Connection, parameters: dict[str, Any]) -> ControlSummary:
    coverage = connection.execute(statement("identities/control_coverage.sql"), parameters).fetchone()
    assert coverage is not None
    hours_open, hours_read_from, hours_read_to = coverage
    figures = connection.execute(statement("identities/control.sql"), parameters).fetchall()
    differing = [row for row in figures if row[3] != row[4]]
    state = "incomplete" if hours_open else "differs" if differing else "equal"
    summary = ControlSummary(
        state=state,
        games=len({(game_type, code) for game_type, code, *_ in figures}),
        differing=len(differing),
        hours_open=hours_open,
        control_read_at=parameters["control_read_at"],
        hours_read_from=hours_read_from,
        hours_read_to=hours_read_to,
    )
    if not hours_open:
        _write_breaks(connection, parameters, differing)
    _write_summary(connection, {**parameters, **summary.__dict__})
    return summary


def _write_breaks(connection: psycopg.Connection, parameters: dict[str, Any], differing: list[Any]) -> None:
    connection.execute(statement("identities/tables.sql"))
    span = parameters["prefix"].rstrip("/").replace("_", " to ")
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO integrity_found (identity, row_key, feed, day, game_type, user_id, currency, stated,
                   computed, sentence)
               VALUES ('control_total', %s, %s, %s, %s, '', %s, %s, %s, %s)""",
            [
                (
                    f"{parameters['prefix']}{game_type}/{game_code}/{figure}",
                    parameters["feed"],
                    parameters["day"],
                    game_type,
                    parameters["currency"],
                    stated,
                    computed,
                    f"{game_type}/{game_code}, {span}: the provider's total of {figure} is {stated}, "
                    f"its hours add up to {computed}.",
                )
                for game_type, game_code, figure, stated, computed in differing
            ],
        )
    connection.execute(statement("identities/standing.sql"), parameters)
    connection.execute(statement("identities/control_heal.sql"), parameters)
    connection.execute("DROP TABLE integrity_found")


def _write_summary(connection: psycopg.Connection, values: dict[str, Any]) -> None:
    connection.execute(
        """INSERT INTO recon.control_totals AS t (provider, agent, starts_at, ends_at, day, state, games, differing,
               hours_open, control_read_at, hours_read_from, hours_read_to, landing_uri)
           VALUES (%(provider)s, %(agent)s, %(starts)s, %(ends)s, %(day)s, %(state)s, %(games)s, %(differing)s,
               %(hours_open)s, %(control_read_at)s, %(hours_read_from)s, %(hours_read_to)s, %(landing_uri)s)
           ON CONFLICT (provider, agent, starts_at, ends_at) DO UPDATE SET
               day = excluded.day, state = excluded.state, games = excluded.games, differing = excluded.differing,
               hours_open = excluded.hours_open, control_read_at = excluded.control_read_at,
               hours_read_from = excluded.hours_read_from, hours_read_to = excluded.hours_read_to,
               landing_uri = excluded.landing_uri""",
        values,
    )
