"""Readings of Lucko bets in landing, as pull leaves them: rows of the simulator's bulk world in compressed pages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

import tieout
from simulator.clock import WorldClock
from simulator.config import config_from_mapping
from simulator.encoding import encode
from simulator.world import World
from simulator.world.lucko_bulk import BulkLuckoWorld
from tieout.core.clock import epoch_ms
from tieout.core.landing import Manifest, ReadingWriter, WindowEntry, new_reading_id, read_manifest, slice_folder
from tieout.core.slices import Slice
from tieout.providers.lucko import BETS

AGENT = "bulk"
MERCHANT = "bulk"
PAGE_SIZE = 5000
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

#: A row as it came, and as it is sent again: its position counts from 0.
Change = Callable[[int, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Landed:
    """A reading in landing."""

    manifest: Path
    rows: int

    @property
    def folder(self) -> Path:
        """Where its answers lie."""
        return self.manifest.parent


class Bets:
    """*rows* documented bets that were settled within one hour, the same for the same seed; *like*: of its world."""

    def __init__(self, *, rows: int, seed: int, start: datetime = START, like: Bets | None = None) -> None:
        self.rows = rows
        self.slice = Slice(start, start + HOUR)
        if like is not None:
            self._world: BulkLuckoWorld = like._world
            return
        # Bets settle some seconds after they were placed: a few more are placed than the hour shows.
        config = config_from_mapping(
            {
                "seed": seed,
                "activity_from": (start - HOUR).isoformat(),
                "activity_until": self.slice.end.isoformat(),
                "agents": {"lucko": [{"agent_id": MERCHANT, "sign_key": "bench", "bets_per_hour": max(rows, 10_000)}]},
            }
        )
        world = World(config, WorldClock(frozen_at=epoch_ms(self.slice.end + HOUR))).lucko[MERCHANT]
        if not isinstance(world, BulkLuckoWorld):
            raise TypeError("the simulator makes no bulk world of so many bets")
        self._world = world

    def pages(self, change: Change | None = None, *, page_size: int = PAGE_SIZE) -> Iterator[list[msgspec.Raw]]:
        """Yield the rows page by page, each encoded; *change* alters them first."""
        start, end = epoch_ms(self.slice.start), epoch_ms(self.slice.end)
        for index in range(0, self.rows, page_size):
            size = min(page_size, self.rows - index)
            rows = self._world.page(start, end, as_of=end + 1, index=index, size=size).rows
            if len(rows) != size:
                raise RuntimeError(f"the world shows {index + len(rows)} bets, {self.rows} are needed")
            if change is not None:
                rows = [
                    msgspec.Raw(encode(change(index + number, json.loads(bytes(row)))))
                    for number, row in enumerate(rows)
                ]
            yield rows


def land(base: Path, bets: Bets, *, read_at: datetime, change: Change | None = None, agent: str = AGENT) -> Landed:
    """Write one reading of all rows through the writer that pull uses; *read_at* orders it among others."""
    folder = slice_folder(base, provider="lucko", feed="bets", agent=agent, slice_=bets.slice)
    writer = ReadingWriter(folder, new_reading_id(read_at))
    asked = read_at
    entries = []
    for rows in bets.pages(change):
        body = _answer(rows, total=bets.rows)
        entries.append(writer.write_page(body, rows=len(rows), total=bets.rows, requested_at=asked))
        asked += BETS.interval
    window = WindowEntry(
        start=bets.slice.start, end=bets.slice.end, params={}, attempts=1, settled=True, pages=entries
    )  # fmt: skip
    manifest = Manifest(
        reading_id=writer.reading_id, provider="lucko", feed="bets", agent=agent, merchant_id=MERCHANT,
        slice_start=bets.slice.start, slice_end=bets.slice.end, kind="first", options={}, windows=[window],
        pulled_at=read_at, finished_at=asked, problem=None, tieout_version=tieout.__version__,
    )  # fmt: skip
    return Landed(manifest=Path(writer.write_manifest(manifest)), rows=bets.rows)


def for_agent(base: Path, landed: Landed, agent: str) -> Landed:
    """Return the same reading as another agent's: a manifest of its own beside the same answers."""
    made = read_manifest(landed.manifest)
    folder = slice_folder(base, provider="lucko", feed="bets", agent=agent, slice_=made.slice)
    writer = ReadingWriter(folder, new_reading_id(made.pulled_at))
    for _, page in made.pages():
        os.link(landed.folder / page.file, Path(str(writer.folder)) / page.file)
    manifest = msgspec.structs.replace(made, agent=agent, reading_id=writer.reading_id)
    return Landed(manifest=Path(writer.write_manifest(manifest)), rows=landed.rows)


def restated(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Settle a bet anew: another turnover, one minute later."""
    return row | {"valid_bet_turnover": f"{number % 977 + 0.5:.2f}", "update_time": row["update_time"] + 60_000}


def _answer(rows: Sequence[msgspec.Raw], *, total: int) -> bytes:
    body: bytes = encode(
        {
            "code": 200,
            "message": "success",
            "data": {"start_index": 0, "page_size": PAGE_SIZE, "total": total, "transactions": rows},
        }
    )
    return body
