"""Whatever the order in which readings are made and loaded, staging ends as the final world, read once.

A small world of each kind of feed changes while its slices are read for the first time, revisited (joined), repaired
and replayed, with retries and loads that come late, twice or never before the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import URL

from demo.postgres import EmbeddedPostgres
from readings import Reading, at
from tieout.core.clock import epoch_ms
from tieout.core.errors import SuspectReading
from tieout.core.slices import Slice
from tieout.core.warehouse import connect

START = at(2026, 3, 1, 0)
HOUR = timedelta(hours=1)
SLICES = 4
USERS = ("u1", "a'; drop table x; --", "<script>")
Row = dict[str, Any]

#: What identifies who loaded a row and when; everything else must come out the same.
LOADS = {"load_id", "reading_id"}
PROVENANCE = LOADS | {"first_seen_at", "last_changed_at", "retired_at"}


@dataclass
class World:
    """What a provider holds: rows that move, change, appear and vanish as time goes by.

    ``minute`` is a sixtieth of a slice since ``start``; "hours" are slices.
    """

    minute: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    feed: ClassVar[tuple[str, str]]
    tables: ClassVar[tuple[str, ...]]
    options: ClassVar[dict[str, Any]] = {}
    start: ClassVar[datetime] = START
    width: ClassVar[timedelta] = HOUR

    def instant(self, minute: int) -> datetime:
        return self.start + minute * self.width / 60

    def now_ms(self) -> int:
        return epoch_ms(self.instant(self.minute))

    def place(self, hour: int) -> None:
        """A row appears in an hour that is under way or past."""
        raise NotImplementedError

    def change(self, row: Row, amount: int, *, moves: bool) -> None:
        raise NotImplementedError

    def inside(self, row: Row, hours: range) -> bool:
        raise NotImplementedError

    def answer(self, hours: range) -> list[list[Row]]:
        """The rows of each window of the slices."""
        return [sorted((row for row in self.rows.values() if self.inside(row, hours)), key=str)]

    def body(self, rows: list[Row]) -> Row:
        raise NotImplementedError

    def shown(self, row: Row) -> Row:
        return {key: value for key, value in row.items() if not key.startswith("_")}


class Bets(World):
    feed = ("lucko", "bets")
    tables = ("lucko_bets",)

    def place(self, hour: int) -> None:
        number = next(self.numbers)
        self.rows[number] = {
            "id": f"b{number}", "user_id": USERS[number % 3], "game_id": "101", "bet_time": epoch_ms(START) + number,
            "settle_time": 0, "bet_amount": "10", "valid_bet_turnover": "0", "currency": "USD",
            "update_time": self.now_ms(), "status": 0,
        }  # fmt: skip

    def change(self, row: Row, amount: int, *, moves: bool) -> None:
        row.update(status=1 if amount else 2, valid_bet_turnover=str(amount), settle_time=self.now_ms())
        if amount % 2:
            row["note"] = f"seen {amount}"
        if moves:
            row["update_time"] = self.now_ms()

    def inside(self, row: Row, hours: range) -> bool:
        return (row["update_time"] - epoch_ms(START)) // 3_600_000 in hours

    def body(self, rows: list[Row]) -> Row:
        return {"code": 200, "data": {"transactions": rows, "total": len(rows)}}


class Rebates(World):
    feed = ("lucko", "rebates")
    tables = ("lucko_rebates", "lucko_rebate_bets")

    def place(self, hour: int) -> None:
        number = next(self.numbers)
        self.rows[number] = {
            "id": f"r{number}", "activity_id": "a1", "user_id": USERS[number % 3], "date": epoch_ms(START),
            "currency": "USD", "turnover": "100", "rate": "1", "rebate_amount": "1.00", "status": 0,
            "create_time": epoch_ms(START + hour * HOUR) + number, "txn_ids": ["b1", "b2", "b2"],
        }  # fmt: skip

    def change(self, row: Row, amount: int, *, moves: bool) -> None:
        row.update(status=1, wallet_txn_id=f"w{amount}", txn_ids=[f"b{n}" for n in range(amount % 4)])

    def inside(self, row: Row, hours: range) -> bool:
        return (row["create_time"] - epoch_ms(START)) // 3_600_000 in hours

    def body(self, rows: list[Row]) -> Row:
        return {"code": 200, "data": {"list": rows, "total": len(rows)}}


class BetLogs(World):
    feed = ("vertexplay", "betlogs")
    tables = ("vertexplay_betlogs",)

    def place(self, hour: int) -> None:
        number = next(self.numbers)
        stamp = f"{START + hour * HOUR + timedelta(minutes=number % 60):%Y-%m-%dT%H:%M:%S}.000Z"
        self.rows[number] = {
            "_hour": hour, "_window": number % 60 // 10, "betTime": stamp, "txTime": stamp, "currency": "THB",
            "gameCode": "g", "username": USERS[number % 3], "roundId": "r", "transferId": f"t{number}",
            "betStatus": 1, "actualBetAmt": "1.000000", "validBetAmt": "1.000000", "winAmt": "0.000000",
        }  # fmt: skip

    def change(self, row: Row, amount: int, *, moves: bool) -> None:
        row.update(winAmt=f"{amount}.000000", betStatus=2)
        if moves:
            row["betId"] = f"id-{row['transferId']}"

    def inside(self, row: Row, hours: range) -> bool:
        return row["_hour"] in hours

    def answer(self, hours: range) -> list[list[Row]]:
        return [
            [row for row in self.rows.values() if (row["_hour"], row["_window"]) == (hour, window)]
            for hour in hours
            for window in range(6)
        ]

    def body(self, rows: list[Row]) -> Row:
        return {"code": 0, "data": rows}


class Summary(World):
    feed = ("hotroad", "summary")
    tables = ("hotroad_summary",)
    options: ClassVar[dict[str, Any]] = {"currency": "USD"}

    def place(self, hour: int) -> None:
        number = next(self.numbers)
        self.rows[number] = {
            "_hour": hour, "gameType": "LIVE", "gameCode": f"g{number}", "betAmount": 10, "winLoss": 0,
            "winAmount": 10, "validBet": 10,
        }  # fmt: skip

    def change(self, row: Row, amount: int, *, moves: bool) -> None:
        row["_away"] = moves and not row.get("_away", False)
        row["betAmount"] = amount

    def inside(self, row: Row, hours: range) -> bool:
        return row["_hour"] in hours and not row.get("_away", False)

    def answer(self, hours: range) -> list[list[Row]]:
        return [[row for row in self.rows.values() if self.inside(row, range(hour, hour + 1))] for hour in hours]

    def body(self, rows: list[Row]) -> Row:
        return {"code": "0000", "data": {"list": rows}}


class Daily(World):
    """A slice is a day here, from noon to noon in Beijing; every game type is asked for by itself."""

    feed = ("jdb", "daily")
    tables = ("jdb_daily",)
    options: ClassVar[dict[str, Any]] = {"currency": "RMB", "g_types": ("0", "7")}
    start = at(2026, 3, 1, 4)
    width = timedelta(days=1)

    def place(self, hour: int) -> None:
        number = next(self.numbers)
        self.rows[number] = {
            "_day": hour, "_type": "07"[number % 2], "uid": f"{USERS[number % 3]}{number}", "bet": -10.5, "win": 0,
            "netWin": -10.5, "validBet": -10.5, "count": 1,
        }  # fmt: skip

    def change(self, row: Row, amount: int, *, moves: bool) -> None:
        row["_away"] = moves and not row.get("_away", False)
        row["win"] = amount
        if amount % 2:
            row["tax "] = -0.1 * amount

    def inside(self, row: Row, hours: range) -> bool:
        return row["_day"] in hours and not row.get("_away", False)

    def answer(self, hours: range) -> list[list[Row]]:
        return [
            [row for row in self.rows.values() if self.inside(row, range(day, day + 1)) and row["_type"] == g_type]
            for day in hours
            for g_type in self.options["g_types"]
        ]

    def body(self, rows: list[Row]) -> Row:
        return {"status": "0000", "data": rows}


WORLDS: tuple[type[World], ...] = (Bets, Rebates, BetLogs, Summary, Daily)


class Desk:
    """A warehouse and a landing base of one machine, emptied for every example."""

    def __init__(self, url: URL, base: Path) -> None:
        self.url = url
        self.reading = type("DeskReading", (Reading,), {"warehouse": url, "base": base})

    def empty(self) -> None:
        with connect(self.url, autocommit=True) as db:
            tables = db.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('staging', 'ops')")
            statements = [f"DELETE FROM {schema}.{table}" for schema, table in tables.fetchall()]
            db.execute("; ".join(statements).encode())

    def take(self, world: World, hours: range, *, minute: int, kind: str, torn: bool = False) -> Reading:
        """Read slices of the world as it is; *torn*: one row of it comes damaged."""
        pieces = tuple(Slice(world.instant(hour * 60), world.instant(hour * 60 + 60)) for hour in hours)
        made = self.reading.of(
            *world.feed, pieces[0].start, hours=len(pieces) * world.width / HOUR,
            requested_at=world.instant(minute), kind=kind, slices=pieces if len(pieces) > 1 else (),
            page_time=timedelta(seconds=1), **world.options,
        )  # fmt: skip
        damaged = torn
        for rows in world.answer(hours):
            shown = [world.shown(row) for row in rows]
            if damaged and shown:
                shown[0] = dict.fromkeys(shown[0], None)
                damaged = False
            made.answer(world.body(shown))
        made.land()
        return made

    def load(self, made: Reading) -> None:
        # A torn reading stays suspect: what came is kept.
        with suppress(SuspectReading):
            made.load()

    def table(self, name: str, without: set[str]) -> list[tuple[Any, ...]]:
        with connect(self.url, autocommit=True) as db:
            columns = [
                row[0]
                for row in db.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'staging' "
                    "AND table_name = %s ORDER BY ordinal_position",
                    (name,),
                )
            ]
            alive = " WHERE retired_at IS NULL" if "retired_at" in columns else ""
            chosen = ", ".join(f"{column}::text" for column in columns if column not in without)
            return sorted(db.execute(f"SELECT {chosen} FROM staging.{name}{alive}".encode()).fetchall(), key=str)


@pytest.fixture(scope="module")
def desks(postgres: EmbeddedPostgres, template: str) -> Iterator[tuple[Desk, Desk]]:
    names = ("any_order_one", "any_order_two")
    with TemporaryDirectory(prefix="tieout-any-order-") as folder:
        for name in names:
            postgres.create_database(name, template=template)
        yield tuple(Desk(postgres.url(name), Path(folder) / name) for name in names)  # type: ignore[misc]
        for name in names:
            postgres.drop_database(name)


class Readings(RuleBasedStateMachine):
    """First readings, revisits, repairs, replays and retries of slices of a changing world, in any order."""

    desk: ClassVar[Desk]
    other: ClassVar[Desk]
    world_type: ClassVar[type[World]]

    @initialize()
    def begin(self) -> None:
        self.desk.empty()
        self.other.empty()
        self.world = self.world_type()
        self.landed: list[Reading] = []
        self.never_loaded: list[Reading] = []
        self.clock = 0

    def ended_hours(self) -> int:
        return min(self.world.minute // 60, SLICES)

    @rule(minutes=st.integers(15, 90))
    def time_passes(self, minutes: int) -> None:
        self.world.minute = min(self.world.minute + minutes, SLICES * 60)

    @rule(back=st.integers(0, SLICES))
    def row_appears(self, back: int) -> None:
        if self.world.minute < SLICES * 60:
            self.world.place(max(self.world.minute // 60 - back, 0))

    @precondition(lambda self: self.world.rows)
    @rule(which=st.integers(0, 9), amount=st.integers(0, 5), moves=st.booleans())
    def row_changes(self, which: int, amount: int, moves: bool) -> None:
        if self.world.minute < SLICES * 60:
            rows = list(self.world.rows.values())
            self.world.change(rows[which % len(rows)], amount, moves=moves)

    @precondition(lambda self: self.world.minute >= 60)
    @rule(
        first=st.integers(0, SLICES - 1), width=st.sampled_from([1, 1, 1, 2, 3]),
        torn=st.sampled_from([False, False, False, False, True]),
        kind=st.sampled_from(["first", "revisit", "repair", "backfill"]), loaded=st.booleans(),
    )  # fmt: skip
    def slice_is_read(self, first: int, width: int, torn: bool, kind: str, loaded: bool) -> None:
        first %= self.ended_hours()
        hours = range(first, min(first + width, self.ended_hours()))
        made = self.read(hours, kind=kind, torn=torn)
        if loaded:
            self.desk.load(made)
        else:
            self.never_loaded.append(made)

    @precondition(lambda self: self.landed)
    @rule(which=st.integers(0, 9))
    def reading_is_loaded_again(self, which: int) -> None:
        self.desk.load(self.landed[which % len(self.landed)])

    @precondition(lambda self: self.landed)
    @rule()
    def all_is_replayed(self) -> None:
        for made in self.landed:
            self.desk.load(made)

    def read(self, hours: range, *, kind: str, torn: bool = False) -> Reading:
        # Readings follow each other: the world is asked at instants of the database's clock, after their slices.
        self.clock += 7
        made = self.desk.take(self.world, hours, minute=SLICES * 60 + self.clock, kind=kind, torn=torn)
        self.landed.append(made)
        return made

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.minute = SLICES * 60
        for hour in range(SLICES):
            self.desk.load(self.read(range(hour, hour + 1), kind="revisit"))
        for made in self.never_loaded:
            self.desk.load(made)
        for hour in range(SLICES):
            self.other.load(self.other.take(self.world, range(hour, hour + 1), minute=5000 + hour, kind="first"))
        for table in self.world.tables:
            assert self.desk.table(table, PROVENANCE) == self.other.table(table, PROVENANCE)

    @invariant()
    def every_loaded_reading_is_accounted_for(self) -> None:
        with connect(self.desk.url, autocommit=True) as db:
            (wrong,) = _row(
                db,
                """SELECT count(*) FROM ops.readings WHERE state <> 'landed'
                   AND (distinct_keys < unchanged OR state = 'certified' AND rejected > 0)""",
            )
        assert wrong == 0


def _row(db: psycopg.Connection, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = db.execute(query.encode()).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_staging_ends_as_the_final_world_read_once(desks: tuple[Desk, Desk], world: type[World]) -> None:
    machine = type(f"{world.__name__}Readings", (Readings,), {"desk": desks[0], "other": desks[1], "world_type": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@contextmanager
def scripted(desk: Desk, other: Desk) -> Iterator[None]:
    desk.empty()
    other.empty()
    yield


@pytest.mark.parametrize("world", [Bets, Rebates, BetLogs], ids=lambda world: world.__name__)
def test_provenance_and_history_do_not_depend_on_the_order_of_loading(
    desks: tuple[Desk, Desk], world: type[World]
) -> None:
    in_order, shuffled = desks
    histories = {"lucko_bets": "lucko_bet_versions", "lucko_rebates": "lucko_rebate_versions"}

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        steps=st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans(), st.integers(0, SLICES - 1)),
            min_size=3, max_size=7,
        ),
        random=st.randoms(use_true_random=False),
    )  # fmt: skip
    def property(steps: list[tuple[int, int, bool, int]], random: Any) -> None:
        in_order.empty()
        shuffled.empty()
        made_world = world()
        for hour in range(3):
            made_world.minute = hour * 60 + 5
            made_world.place(hour)
        plans: list[tuple[Reading, Reading]] = []
        for number, (which, amount, moves, first) in enumerate(steps):
            made_world.minute = 200 + number
            rows = list(made_world.rows.values())
            made_world.change(rows[which % len(rows)], amount, moves=moves)
            hours = range(first, min(first + 1 + number % 2, SLICES))
            minute = SLICES * 60 + number * 10
            plans.append(
                tuple(desk.take(made_world, hours, minute=minute, kind="first") for desk in desks)  # type: ignore[arg-type]
            )
        for one, _ in plans:
            in_order.load(one)
        for _, other in random.sample(plans, len(plans)):
            shuffled.load(other)
        for table in made_world.tables:
            if table == "lucko_rebate_bets":
                assert in_order.table(table, LOADS) == shuffled.table(table, LOADS)
                continue
            assert in_order.table(table, LOADS) == shuffled.table(table, LOADS)
            if table in histories:
                assert in_order.table(histories[table], LOADS) == shuffled.table(histories[table], LOADS)

    property()
