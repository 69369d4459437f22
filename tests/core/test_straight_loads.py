"""New rows go straight into their tables: the same rows, history and certificates as a merge, whatever comes along."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL

from readings import Reading, at
from tieout.core import intake
from tieout.core.errors import SuspectReading
from tieout.core.ledger import Certificate
from tieout.core.warehouse import connect

NOON = at(2026, 3, 1, 12)
TABLES = ("staging.lucko_bets", "staging.lucko_bet_versions", "ops.readings", "ops.rejects")
#: What differs between any two loads.
OWN = {"load_id", "reading_id", "loaded_at", "landing_uri", "sha256", "reject_id", "rejected_at", "agent"}


def bet(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"b{number:05d}", "user_id": f"u{number % 7}", "game_id": "101", "bet_time": 1_772_366_400_000 + number,
        "settle_time": number and 1_772_366_401_000, "bet_amount": f"{number}.50", "valid_bet_turnover": "-0.10",
        "real_bet_amount": "0001.2300", "currency": "VND2", "update_time": 1_772_366_402_000 + number, "status": 1,
        "bet_detail": {"Player": 1.50, "é": "\u4e2d"}, "open_cards": None, "no_comm": number % 2 == 0,
    } | changes  # fmt: skip


def body(*rows: dict[str, Any], total: int) -> dict[str, Any]:
    return {"code": 200, "data": {"total": total, "transactions": list(rows)}}


def contents(db: psycopg.Connection, agent: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that a load writes about an agent, but for what differs between any two loads."""
    found = {}
    for table in TABLES:
        schema, name = table.split(".")
        columns = [
            column
            for (column,) in db.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
                (schema, name),
            )
            if column not in OWN
        ]
        query = sql.SQL("SELECT {} FROM {} WHERE agent = %s").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns),
            sql.Identifier(schema, name),
        )
        found[table] = sorted(db.execute(query, (agent,)).fetchall(), key=str)
    return found


def load(made: Reading) -> Certificate | str:
    try:
        certificate = made.load()
    except SuspectReading as suspect:
        return str(suspect).split("is suspect")[1]
    return certificate


#: Readings, their answers, the rows of these.
Plan = list[list[list[dict[str, Any]]]]
PLANS: dict[str, Plan] = {
    "all new": [[[bet(n) for n in range(40)], [bet(n) for n in range(40, 60)]]],
    "nothing": [[[]]],
    "some stored": [
        [[bet(n) for n in range(10)]],
        [[bet(n) for n in range(20, 40)], [bet(5), bet(6, status=2, update_time=1_772_366_409_000), bet(41)]],
    ],
    "most stored": [[[bet(n) for n in range(20)]], [[bet(n) for n in range(22)], [bet(n) for n in range(22, 50)]]],
    "the same twice": [[[bet(n) for n in range(9)]], [[bet(n) for n in range(9)]]],
    "a key on two pages": [[[bet(1), bet(2)], [bet(3), bet(1)]]],
    "a key on two pages, changed": [[[bet(1), bet(2)], [bet(3), bet(1, valid_bet_turnover="7")]]],
    "a key twice on a page": [[[bet(1), bet(2), bet(2)], [bet(2), bet(3)]]],
    "a stored key on two pages": [[[bet(1)]], [[bet(n) for n in range(2, 9)], [bet(1), bet(9)], [bet(1)]]],
    "another owner": [[[bet(1)]], [[bet(2), bet(3), bet(1, user_id="somebody else")]]],
    "bad rows": [[[bet(1), bet(2, bet_amount="NaN"), bet(3)], [bet(4, id="x\0y"), bet(5, new={"field": 1e3})]]],
    "escapes": [[[bet(1, user_id='q"\\\t\n', bet_detail={"a\\b": "\n"}), bet(2, inst_id="\u00e9\U0001f600")]]],
    "odd JSON": [[[bet(1, bet_detail={"x": 1e150}, game_result=[]), bet(2, open_cards={"e": "1e999"})]]],
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_straight_and_merged_loads_write_the_same(
    reading: type[Reading],
    db: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    plan: list[list[list[dict[str, Any]]]],
) -> None:
    outcomes: dict[str, list[Any]] = {"straight": [], "merged": []}
    for way, found in outcomes.items():
        if way == "merged":
            monkeypatch.setattr(intake, "goes_straight", lambda feed: False)
        for number, pages in enumerate(plan):
            total = len({row["id"] for page in pages for row in page})
            made = reading.of(
                "lucko", "bets", NOON, agent=way, requested_at=NOON + timedelta(hours=2 + number),
                page_time=timedelta(seconds=5),
            ).answer(*(body(*page, total=total) for page in pages))  # fmt: skip
            outcome = load(made)
            if isinstance(outcome, Certificate):
                outcome = {name: value for name, value in outcome.__dict__.items() if name not in OWN}
            found.append((outcome, contents(db, way)))
    assert outcomes["straight"] == outcomes["merged"]


def test_new_rows_of_several_answers_need_no_merge(
    reading: type[Reading], db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, bool]] = []
    take = intake.Intake.take

    def watched(self: intake.Intake, sources: list[intake.Source]) -> None:
        take(self, sources)
        taken.append((self.fresh, self.is_merged))

    monkeypatch.setattr(intake.Intake, "take", watched)
    pages = [[bet(n) for n in range(start, start + 5)] for start in (0, 5, 10)]
    first = reading.of("lucko", "bets", NOON).answer(*(body(*page, total=15) for page in pages)).load()
    mixed = [*pages[2], *(bet(n) for n in range(20, 40))]
    second = reading.of("lucko", "bets", NOON + timedelta(hours=1)).answer(body(*mixed, total=25)).load()
    assert (first.inserted, second.inserted, second.unchanged) == (15, 20, 5)
    assert taken == [(15, False), (20, True)]
    assert db.execute("SELECT count(*) FROM staging.lucko_bet_versions").fetchone() == (35,)


def test_loads_of_overlapping_keys_at_once_store_each_row_once(
    reading: type[Reading], warehouse: URL, db: psycopg.Connection
) -> None:
    made = []
    for number in range(3):
        rows = [bet(n) for n in range(number * 50, number * 50 + 100)]
        one = reading.of("lucko", "bets", NOON + number * timedelta(hours=1), requested_at=NOON + timedelta(hours=9))
        made.append(one.answer(body(*rows[:50], total=100), body(*rows[50:], total=100)))
        one.land()
    problems: list[BaseException] = []

    def run(one: Reading) -> None:
        try:
            one.load()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(one,)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for table in ("lucko_bets", "lucko_bet_versions"):
        query = sql.SQL("SELECT count(*), count(DISTINCT id) FROM {}").format(sql.Identifier("staging", table))
        assert db.execute(query).fetchone() == (200, 200)
    assert db.execute("SELECT sum(inserted) FROM ops.readings").fetchone() == (200,)


def test_row_that_somebody_else_stores_meanwhile_is_merged(
    reading: type[Reading], warehouse: URL, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.of("lucko", "bets", NOON, agent="other").answer(body(bet(2), total=1)).load()
    looked = intake.FreshRows._stored

    def stored(self: intake.FreshRows, rows: Any) -> set[str]:
        found = looked(self, rows)
        with connect(warehouse) as stranger:
            stranger.execute("UPDATE staging.lucko_bets SET agent = 'acme' WHERE agent = 'other'")
        return found

    monkeypatch.setattr(intake.FreshRows, "_stored", stored)
    certificate = reading.of("lucko", "bets", NOON).answer(body(bet(1), bet(2), total=2)).load()
    assert (certificate.inserted, certificate.unchanged, certificate.state) == (1, 1, "certified")


@pytest.mark.parametrize("analysed", ["never", "when it was empty"])
@pytest.mark.parametrize("kind", ["new", "unchanged", "restated"])
def test_load_never_reads_a_big_table_from_end_to_end(
    reading: type[Reading], warehouse: URL, db: psycopg.Connection, kind: str, analysed: str
) -> None:
    if analysed != "never":
        db.execute("ANALYZE staging.lucko_bets, staging.lucko_bet_versions")
    rows = [bet(n) for n in range(3000)]
    total = len(rows)
    later = NOON + timedelta(hours=5)
    reading.of("lucko", "bets", NOON, requested_at=later).answer(body(*rows, total=total)).load()
    if kind == "new":
        rows = [row | {"id": f"n{row['id']}"} for row in rows]
    if kind == "restated":
        rows = [row | {"status": 4, "update_time": row["update_time"] + 5000} for row in rows]
    made = reading.of("lucko", "bets", NOON, requested_at=NOON + timedelta(hours=9)).answer(body(*rows, total=total))
    tables = ("lucko_bets", "lucko_bet_versions")
    with connect(warehouse) as connection:
        # A slice as large as the whole table tempts the planner most.
        before = _scans(connection, tables)
    assert made.load().state == "certified"
    with connect(warehouse) as connection:
        after = _scans(connection, tables)
    assert after == before


def _scans(connection: psycopg.Connection, tables: tuple[str, ...]) -> dict[str, int]:
    """How often each table was read from end to end, by any session that has ended or reported."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    rows = connection.execute(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'staging' AND relname = ANY(%s)",
        (list(tables),),
    ).fetchall()
    return dict(rows)
