"""What a revisit costs that finds nothing new: its certificates, and almost no write-ahead log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg

from readings import Reading, at, sample
from tieout.core.clock import epoch_ms
from tieout.core.slices import Slice

ROWS, PAGE = 50_000, 5_000
START = at(2026, 3, 1)
HOUR = timedelta(hours=1)
#: Of the log of the first load. Measured: 0.05 %, and 0.3 % right after a checkpoint, when pages are logged whole.
MOST = 0.01


def pages() -> list[bytes]:
    """Answers of Lucko bets with ROWS bets spread over two hours."""
    (template,) = sample("lucko_bets_baccarat.json")["data"]["transactions"]
    bets = [
        json.dumps(
            {**template, "id": f"{number:024x}", "update_time": epoch_ms(START) + number * 7_200_000 // ROWS},
            separators=(",", ":"),
        )
        for number in range(ROWS)
    ]
    head = f'{{"code":200,"message":"success","data":{{"total":{ROWS},"transactions":['
    return [(head + ",".join(bets[n : n + PAGE]) + "]}}").encode() for n in range(0, ROWS, PAGE)]


def wal(db: psycopg.Connection, act: Callable[[], Any]) -> int:
    """Return how many bytes of write-ahead log the act wrote."""

    def position() -> str:
        (lsn,) = db.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone() or ("",)
        return str(lsn)

    before = position()
    act()
    (written,) = db.execute("SELECT pg_wal_lsn_diff(%s, %s)::bigint", (position(), before)).fetchone() or (0,)
    return int(written)


def state(db: psycopg.Connection) -> tuple[Any, ...]:
    """Where every row version lies and which transactions have touched it, as one figure, and the size of history."""
    row = db.execute(
        """SELECT count(*), sum(hashtext(concat(ctid::text, xmin::text, xmax::text))),
                  (SELECT count(*) FROM staging.lucko_bet_versions) FROM staging.lucko_bets"""
    ).fetchone()
    assert row is not None
    return row


def test_a_revisit_that_changes_nothing_writes_almost_no_log(reading: type[Reading], db: psycopg.Connection) -> None:
    answers = pages()
    first = reading.of("lucko", "bets", START, hours=2, requested_at=START + 3 * HOUR).answer(*answers)
    slices = (Slice(START, START + HOUR), Slice(START + HOUR, START + 2 * HOUR))
    again = reading.of(
        "lucko", "bets", START, hours=2, kind="revisit", slices=slices, requested_at=START + 4 * HOUR
    ).answer(*answers)
    first.land()
    again.land()
    loading = wal(db, first.load)
    before = state(db)
    # The worst case: after a checkpoint, the first touch of a page logs all of it.
    db.execute("CHECKPOINT")
    revisiting = wal(db, lambda: again.load())
    assert before[0] == ROWS
    assert state(db) == before
    assert (
        db.execute("SELECT state, unchanged FROM ops.readings WHERE kind = 'revisit'").fetchall()
        == [("certified", ROWS // 2)] * 2
    )
    assert revisiting <= loading * MOST, f"{revisiting:,} bytes after {loading:,}"
