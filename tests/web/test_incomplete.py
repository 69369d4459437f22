"""The list of feeds that are not complete says what the readings say, whatever the monitor has written down."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fastapi.testclient import TestClient
from web_people import Person, declare, read

from tieout.core.coverage import remember_certified
from tieout.web.warehouse import reading as reading_snapshot

Browser = Callable[[Person | None], TestClient]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: What ops.slice_status says of each feed that is not complete.
PLAINLY = """
SELECT s.provider, s.feed, s.agent,
    count(*) FILTER (WHERE s.status = 'landed'), count(*) FILTER (WHERE s.status = 'suspect'),
    count(*) FILTER (WHERE s.status = 'missing'), count(*) FILTER (WHERE s.status = 'lost'),
    min(s.deadline) FILTER (WHERE s.status <> 'lost' AND s.deadline >= now())
FROM ops.slice_status AS s
INNER JOIN ops.agents AS a ON a.provider = s.provider AND a.feed = s.feed AND a.agent = s.agent
WHERE s.status IN ('landed', 'suspect', 'missing', 'lost') AND (s.status <> 'lost' OR s.deadline >= a.first_known_at)
    AND s.slice_start >= now() - coalesce(a.reach, interval '90 days') - interval '1 day'
GROUP BY s.provider, s.feed, s.agent
"""


def listed() -> set[tuple[object, ...]]:
    names = ("provider", "feed", "agent", "landed", "suspect", "missing", "lost", "deadline")
    with reading_snapshot() as snapshot:
        parameters = {"providers": None, "feeds": None, "agents": None, "is_all_time": False}
        return {tuple(row[name] for name in names) for row in snapshot.rows("coverage_totals", parameters)}


def plainly(db: psycopg.Connection) -> set[tuple[object, ...]]:
    return set(db.execute(PLAINLY.encode()).fetchall())


def some_readings(db: psycopg.Connection, chance: random.Random, agents: int, now: datetime) -> None:
    for number in range(agents):
        for _ in range(chance.randrange(12)):
            begin = now - chance.randrange(12 * 24) * HOUR
            width = chance.choice((1, 2, 24, 90)) * HOUR
            state = chance.choice(("certified", "certified", "certified", "suspect", "landed"))
            read(db, "hotroad", "summary", f"a{number}", begin, begin + width, state=state)
    # As the load writes it: when it happens, by the database's clock.
    db.execute("UPDATE ops.readings SET loaded_at = clock_timestamp() WHERE loaded_at < now() - interval '1 minute'")


@pytest.mark.parametrize("seed", range(6))
def test_it_says_what_the_slices_say(pages: Browser, db: psycopg.Connection, seed: int) -> None:
    chance = random.Random(seed)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for number in range(6):
        declare(
            db, "hotroad", "summary", f"a{number}", now - chance.choice((3, 9, 30)) * DAY, reach=10 * DAY,
            first_known_at=now - chance.choice((0, 5, 90)) * DAY, lag=chance.choice((2, 90)) * timedelta(minutes=1),
            slice_width=chance.choice((1, 6)) * HOUR,
        )  # fmt: skip
    with pages(None):
        some_readings(db, chance, 6, now)
        assert listed() == plainly(db), "nothing was written down yet"
        remember_certified(db)
        assert listed() == plainly(db), "all is written down"
        some_readings(db, chance, 6, now)
        assert listed() == plainly(db), "more was loaded since"
        db.execute("UPDATE ops.certified SET as_of = as_of - interval '3 days'")
        assert listed() == plainly(db), "the monitor has stood still"


def test_other_game_types_are_not_what_was_certified(pages: Browser, db: psycopg.Connection) -> None:
    now = datetime.now(UTC).replace(hour=4, minute=0, second=0, microsecond=0)
    declare(db, "jdb", "daily", "acme", now - 5 * DAY, slice_width=DAY, slice_anchor=4 * HOUR, first_known_at=now - DAY)
    db.execute("UPDATE ops.agents SET g_types = '{0}'")
    for day in range(5, 0, -1):
        read(db, "jdb", "daily", "acme", now - day * DAY, now - (day - 1) * DAY)
    db.execute("UPDATE ops.readings SET g_types = '{0}'")
    remember_certified(db)
    with pages(None):
        assert listed() == plainly(db) == set()
        db.execute("UPDATE ops.agents SET g_types = '{0,7}'")
        assert [row[5] for row in listed()] == [row[5] for row in plainly(db)] != []


def test_feeds_that_are_declared_no_more_are_forgotten(db: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    for agent in ("acme", "gone"):
        declare(db, "hotroad", "summary", agent, now - DAY)
        read(db, "hotroad", "summary", agent, now - 5 * HOUR, now - 4 * HOUR)
    assert remember_certified(db) == 2
    db.execute("DELETE FROM ops.agents WHERE agent = 'gone'")
    assert remember_certified(db) == 1
    rows = db.execute("SELECT agent, ranges = tstzmultirange(tstzrange(%s, %s)) FROM ops.certified", (
        now - 5 * HOUR, now - 4 * HOUR)).fetchall()  # fmt: skip
    assert rows == [("acme", True)]
