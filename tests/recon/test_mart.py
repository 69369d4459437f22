"""mart.turnover_daily over all five feeds: against plain sums over the raw answers, after any sequence of loads."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from scenes import examples
from sqlalchemy import URL

from readings import Reading, at
from tieout.core.clock import epoch_ms
from tieout.core.errors import SuspectReading
from tieout.core.recon.mart import MartSettings, RefreshSummary, refresh_mart
from tieout.core.warehouse import connect

D = Decimal
HOUR, DAYS = timedelta(hours=1), timedelta(days=1)
DAY = at(2026, 3, 10)
TODAY = DAY.date()
NOON = DAY + 4 * HOUR  # a JDB day begins
ZONES = ("UTC", "Asia/Shanghai", "America/New_York")
#: (day, user, currency, game) → (bets, turnover, win_loss, rebate)
Totals = dict[tuple[date, str, str, str], tuple[int | None, D, D, D]]


def new_agent() -> str:
    return f"acme-{uuid.uuid4().hex[:12]}"


def stored(db: psycopg.Connection, provider: str, agent: str) -> Totals:
    rows = db.execute(
        """SELECT day, user_id, currency, game, bets, turnover, win_loss, rebate FROM mart.turnover_daily
           WHERE provider = %s AND agent = %s""",
        (provider, agent),
    ).fetchall()
    return {row[:4]: row[4:] for row in rows}


def refresh(warehouse: URL, provider: str, agent: str, timezone: str = "UTC") -> RefreshSummary:
    return refresh_mart(warehouse, provider=provider, agent=agent, settings=MartSettings(timezone=timezone))


def sums(rows: Iterable[tuple[tuple[date, str, str, str], tuple[int | None, D, D, D]]]) -> Totals:
    """Add rows up, in Python."""
    found: Totals = {}
    for key, figures in rows:
        old = found.get(key)
        found[key] = figures if old is None else tuple(  # type: ignore[assignment]
            None if a is None or b is None else a + b for a, b in zip(old, figures, strict=True)
        )  # fmt: skip
    return found


def local(instant: datetime, timezone: str) -> date:
    return instant.astimezone(ZoneInfo(timezone)).date()


# ------------------------------------------------------------------------------------ each feed's documented rows


@pytest.mark.parametrize(
    ("provider", "feed", "sample", "options", "expected"),
    [
        (
            "lucko", "bets", "lucko_bets_baccarat.json", {},
            {(date(2024, 11, 26), "7797", "USD", "101"): (1, D(100), D(100), D(0))},
        ),
        (
            "lucko", "bets", "lucko_bets_roulette.json", {},
            {(date(2025, 4, 24), "uid001", "VND2", "103"): (1, D(250), D(50), D(0))},
        ),
        (
            "hotroad", "summary", "hotroad_summary.json", {"currency": "USD"},
            {(TODAY, "", "USD", "LIVE/BACCARAT"): (None, D(2860000), D(-1690000), D(0))},
        ),
        (
            "jdb", "daily", "jdb_daily.json", {"currency": "RMB", "g_types": ("0",)},
            {
                (TODAY, "testpl01", "RMB", "0"): (238, D("3760.8"), D("-1170.2"), D(0)),
                (TODAY, "testpl02", "RMB", "0"): (274, D("2796.2"), D("-1006.55"), D(0)),
                (TODAY, "testpl03", "RMB", "0"): (1, D("0.5"), D("-0.45"), D(0)),
            },
        ),
        (
            "vertexplay", "betlogs", "vertexplay_betlogs.json", {},
            {(date(2025, 12, 9), "apitest011", "THB", "VP_230001_1"): (1, D("0.5"), D("-0.14"), D(0))},
        ),
    ],
)  # fmt: skip
def test_documented_rows(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL, provider: str, feed: str, sample: str,
    options: dict[str, Any], expected: Totals,
) -> None:  # fmt: skip
    agent = new_agent()
    start, hours = (NOON, 24) if provider == "jdb" else (DAY, 1)
    # The sample's total is of more rows than it shows.
    with suppress(SuspectReading):
        reading.of(provider, feed, start, hours=hours, agent=agent, **options).sample(sample).load()
    refresh(warehouse, provider, agent)
    assert stored(db, provider, agent) == expected


def test_rebates_stand_beside_the_bets_of_their_user(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL
) -> None:
    """They know no game and name their own day; failed ones paid nothing."""
    agent = new_agent()
    rebate = {
        "activity_id": "a", "user_id": "u1", "date": epoch_ms(DAY), "currency": "USD", "turnover": "100", "rate": "1",
        "create_time": epoch_ms(DAY + DAYS), "txn_ids": [], "wallet_txn_id": "w", "status": 1,
    }  # fmt: skip
    rows = [
        {**rebate, "id": "1", "rebate_amount": "1.00"},
        {**rebate, "id": "2", "rebate_amount": "0.25"},
        {**rebate, "id": "3", "rebate_amount": "9", "status": 0},
        {**rebate, "id": "4", "rebate_amount": "7", "user_id": "u2", "date": epoch_ms(DAY - DAYS)},
    ]
    answer = {"code": 200, "data": {"list": rows, "total": 4}}
    reading.of("lucko", "rebates", DAY + DAYS, agent=agent).answer(answer).load()
    refresh(warehouse, "lucko", agent, "Asia/Shanghai")
    assert stored(db, "lucko", agent) == {
        (TODAY, "u1", "USD", ""): (0, D(0), D(0), D("1.25")),
        (TODAY - DAYS, "u2", "USD", ""): (0, D(0), D(0), D(7)),
    }
    rules = db.execute("SELECT DISTINCT day_rule FROM mart.turnover_daily WHERE agent = %s", (agent,)).fetchall()
    assert rules == [("date of the rebate; UTC",)]


# ----------------------------------------------------------------------- any sequence of loads, any days, any zone

MONEY = st.integers(-3_000, 100_000).map(lambda raw: D(raw).scaleb(-2))
IN_SCOPE = st.integers(-30, 47).map(lambda hours: DAY + hours * HOUR + timedelta(minutes=59))
FEW = settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def lucko_bet(draw: st.DrawFn) -> dict[str, Any]:
    settled = draw(st.one_of(IN_SCOPE, IN_SCOPE, st.none()))
    number = draw(st.integers(0, 5))
    return {
        # What never changes of a bet hangs on its id.
        "id": f"b{number}", "user_id": f"u{number % 2}", "game_id": "101" if number % 3 else "103",
        "bet_time": epoch_ms(DAY - number * HOUR), "settle_time": epoch_ms(settled) if settled else 0,
        "bet_amount": str(draw(MONEY)), "valid_bet_turnover": str(draw(MONEY)),
        "win_amount": draw(st.one_of(st.none(), MONEY.map(str))),
        "real_win_amount": draw(st.one_of(st.none(), MONEY.map(str))),
        "currency": "USD", "status": draw(st.sampled_from((1, 1, 1, 0, 4))), "update_time": epoch_ms(DAY + 2 * DAYS),
    }  # fmt: skip


def lucko_totals(rows: Sequence[dict[str, Any]], timezone: str) -> Totals:
    def parts() -> Iterable[Any]:
        for row in rows:
            if row["status"] != 1:
                continue
            instant = datetime.fromtimestamp((row["settle_time"] or row["bet_time"]) / 1000, ZoneInfo("UTC"))
            net = D(0)
            if row["real_win_amount"] is not None:
                net = D(row["real_win_amount"])
            elif row["win_amount"] is not None:
                net = D(row["win_amount"]) - D(row["bet_amount"])
            key = (local(instant, timezone), row["user_id"], "USD", row["game_id"])
            yield key, (1, max(D(row["valid_bet_turnover"]), D(0)), net, D(0))

    return sums(parts())


@FEW
@given(readings=st.lists(st.lists(lucko_bet(), max_size=6), min_size=1, max_size=4), zone=st.sampled_from(ZONES))
def test_lucko_after_any_restatements(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL, readings: list[list[dict[str, Any]]], zone: str
) -> None:
    agent, known = new_agent(), dict[str, dict[str, Any]]()
    for number, drawn in enumerate(readings):
        rows = list({row["id"]: {**row, "update_time": row["update_time"] + number} for row in drawn}.values())
        answer = {"code": 200, "data": {"transactions": rows, "total": len(rows)}}
        requested = DAY + 5 * DAYS + number * HOUR
        reading.of("lucko", "bets", DAY + 2 * DAYS, agent=agent, requested_at=requested).answer(answer).load()
        known |= {row["id"]: row for row in rows}
        refresh(warehouse, "lucko", agent, zone)
        assert stored(db, "lucko", agent) == lucko_totals(list(known.values()), zone)


@st.composite
def hotroad_row(draw: st.DrawFn) -> dict[str, Any]:
    row: dict[str, Any] = {"gameType": draw(st.sampled_from(("LIVE", "SLOT"))), "gameCode": draw(st.sampled_from("AB"))}
    for name in ("betAmount", "winLoss", "winAmount", "validBet"):
        row[name] = float(draw(MONEY))
    if draw(st.booleans()):
        row["commission"] = float(draw(MONEY))
    return row


@FEW
@given(
    hours=st.lists(
        st.tuples(
            st.integers(0, 30),
            st.lists(hotroad_row(), max_size=3, unique_by=lambda row: (row["gameType"], row["gameCode"])),
        ),
        min_size=1, max_size=5,
    ),
    zone=st.sampled_from(ZONES),
)  # fmt: skip
def test_hotroad_after_any_revisits(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL, hours: list[tuple[int, Any]], zone: str
) -> None:
    """The newest reading of an hour is all there is of it."""
    agent, known = new_agent(), dict[int, list[dict[str, Any]]]()
    for number, (hour, rows) in enumerate(hours):
        reading.of(
            "hotroad", "summary", DAY + hour * HOUR, agent=agent, currency="USD",
            requested_at=DAY + 5 * DAYS + number * HOUR,
        ).answer({"code": "0000", "data": {"list": rows}}).load()  # fmt: skip
        known[hour] = rows
        refresh(warehouse, "hotroad", agent, zone)
    assert stored(db, "hotroad", agent) == sums(
        (
            (local(DAY + hour * HOUR, zone), "", "USD", f"{row['gameType']}/{row['gameCode']}"),
            (None, max(D(str(row["validBet"])), D(0)), D(str(row["winLoss"])), D(str(row.get("commission", 0)))),
        )
        for hour, rows in known.items()
        for row in rows
    )


def betlog(
    key: str, placed: datetime, *, bet_id: str | None = None, status: int = 2, valid: str = "1"
) -> dict[str, Any]:
    row = {
        "betTime": placed.isoformat(), "txTime": placed.isoformat(), "currency": "THB", "gameCode": "g",
        "username": "u1", "roundId": "r", "transferId": key, "betStatus": status, "actualBetAmt": "2",
        "validBetAmt": valid, "winAmt": "5",
    }  # fmt: skip
    return row if bet_id is None else {**row, "betId": bet_id}


def read_betlogs(reading: type[Reading], agent: str, *rows: dict[str, Any], later: int = 0) -> None:
    reading.of("vertexplay", "betlogs", DAY, agent=agent, requested_at=DAY + DAYS + later * HOUR).answer(
        {"code": 0, "data": list(rows)}
    ).load()


def test_a_betlog_that_was_superseded_is_counted_once(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL
) -> None:
    agent = new_agent()
    read_betlogs(reading, agent, betlog("t1", DAY), betlog("open", DAY, status=1))
    refresh(warehouse, "vertexplay", agent)
    assert stored(db, "vertexplay", agent) == {(TODAY, "u1", "THB", "g"): (1, D(1), D(3), D(0))}
    read_betlogs(reading, agent, betlog("t1", DAY, bet_id="1"), betlog("t1", DAY, bet_id="2", valid="-4"), later=1)
    assert refresh(warehouse, "vertexplay", agent).days == (TODAY,)
    assert stored(db, "vertexplay", agent) == {(TODAY, "u1", "THB", "g"): (2, D(1), D(6), D(0))}


# -------------------------------------------------------------------------------------------- what a refresh takes in


def test_a_refresh_takes_in_each_load_once_and_rebuilds_its_days_only(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL
) -> None:
    agent = new_agent()
    assert refresh(warehouse, "vertexplay", agent).loads == 0
    read_betlogs(reading, agent, betlog("a", DAY))
    first = refresh(warehouse, "vertexplay", agent)
    assert (first.loads, first.days) == (1, (TODAY,))
    again = refresh(warehouse, "vertexplay", agent)
    assert (again.loads, again.days) == (0, ())
    before = stored(db, "vertexplay", agent)
    # Written over by hand: a day that no load touches is not written again.
    db.execute("UPDATE mart.turnover_daily SET bets = 99 WHERE agent = %s", (agent,))
    reading.of("vertexplay", "betlogs", DAY + DAYS, agent=agent, requested_at=DAY + 2 * DAYS).answer(
        {"code": 0, "data": [betlog("b", DAY + DAYS)]}
    ).load()
    assert refresh(warehouse, "vertexplay", agent).days == (TODAY + DAYS,)
    assert stored(db, "vertexplay", agent)[TODAY, "u1", "THB", "g"][0] == 99
    # Other settings: everything is another mart.
    assert refresh(warehouse, "vertexplay", agent, "Asia/Shanghai").days == (TODAY, TODAY + DAYS)
    refresh(warehouse, "vertexplay", agent)
    assert before.items() < stored(db, "vertexplay", agent).items()


def test_a_load_that_commits_after_a_later_one_is_not_missed(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL
) -> None:
    """The load with the smaller id is still open while the mart takes in the one with the larger id."""
    agent = new_agent()
    with connect(warehouse) as slow:
        (early,) = slow.execute(
            """INSERT INTO ops.loads (reading_id, provider, feed, agent, inserted)
               VALUES ('slow', 'vertexplay', 'betlogs', %s, 1) RETURNING load_id""",
            (agent,),
        ).fetchone()  # type: ignore[misc]
        read_betlogs(reading, agent, betlog("a", DAY))
        assert refresh(warehouse, "vertexplay", agent).loads == 1
        slow.execute(
            """INSERT INTO staging.vertexplay_betlogs (agent, bet_key, transfer_id, round_id, bet_time, tx_time,
                   currency, game_code, username, bet_status, actual_bet_amt, valid_bet_amt, win_amt, reading_id,
                   load_id, first_seen_at, last_changed_at)
               SELECT agent, 'slow', 'slow', round_id, bet_time, tx_time, currency, game_code, username, bet_status,
                      actual_bet_amt, valid_bet_amt, win_amt, 'slow', %s, first_seen_at, last_changed_at
               FROM staging.vertexplay_betlogs WHERE agent = %s""",
            (early, agent),
        )
        # As committed staging stands, the slow load's source row included.
    assert refresh(warehouse, "vertexplay", agent).loads == 1
    assert stored(db, "vertexplay", agent)[TODAY, "u1", "THB", "g"][0] == 2


def test_two_refreshes_at_once_wait_for_each_other(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL
) -> None:
    agent = new_agent()
    read_betlogs(reading, agent, betlog("a", DAY), betlog("b", DAY))
    found: list[RefreshSummary] = []
    threads = [Thread(target=lambda: found.append(refresh(warehouse, "vertexplay", agent))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(summary.loads for summary in found) == [0, 0, 1]
    assert stored(db, "vertexplay", agent)[TODAY, "u1", "THB", "g"][0] == 2


def test_a_users_turnover_over_all_providers(reading: type[Reading], db: psycopg.Connection, warehouse: URL) -> None:
    agent = new_agent()
    read_betlogs(reading, agent, betlog("a", DAY))
    rows = [{"uid": "u1", "bet": -3, "win": 1, "netWin": -2, "validBet": -3, "count": 4}]
    reading.of("jdb", "daily", NOON, hours=24, agent=agent, currency="THB", g_types=("0",)).answer(
        {"status": "0000", "data": rows}
    ).load()
    totals = [{"gameType": "LIVE", "gameCode": "A", "betAmount": 9, "winLoss": 0, "winAmount": 9, "validBet": 9}]
    reading.of("hotroad", "summary", DAY, agent=agent, currency="THB").answer(
        {"code": "0000", "data": {"list": totals}}
    ).load()
    for provider in ("vertexplay", "jdb", "hotroad"):
        refresh(warehouse, provider, agent)
    with db.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM mart.turnover_by_user WHERE agent = %s", (agent,)).fetchall()
    assert found == [
        {
            "agent": agent, "user_id": "u1", "day": TODAY, "currency": "THB", "providers": ["jdb", "vertexplay"],
            "day_rules": ["bet_time; UTC", "report date, noon to noon; UTC+8"], "bets": 5, "turnover": D(4),
            "win_loss": D(1), "rebate": D(0),
        }
    ]  # fmt: skip


def test_days_of_two_agents_and_providers_do_not_mix(
    reading: type[Reading], db: psycopg.Connection, warehouse: URL
) -> None:
    agents = [new_agent(), new_agent()]
    for agent in agents:
        read_betlogs(reading, agent, betlog("a", DAY))
    counts = defaultdict(int, {agent: refresh(warehouse, "vertexplay", agent).loads for agent in agents})
    assert counts == dict.fromkeys(agents, 1)
    assert stored(db, "lucko", agents[0]) == {}


def test_three_ids_of_255_characters_are_kept_and_kept_apart(db: psycopg.Connection) -> None:
    """Longer together than a row of an index may be, and of the kind that does not compress."""
    chance = Random(1)
    long_ids = ["".join(chr(chance.randrange(0x10000, 0x1F000)) for _ in range(255)) for _ in range(4)]
    agent = new_agent()
    insert = """INSERT INTO mart.turnover_daily (provider, agent, day, day_rule, user_id, currency, game, turnover,
                    win_loss, rebate) VALUES ('lucko', %s, '2026-03-10', 'rule', %s, %s, %s, 1, 0, 0)"""
    db.execute(insert, (agent, *long_ids[:3]))
    db.execute(insert, (agent, *long_ids[1:]))
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_turnover_daily"):
        db.execute(insert, (agent, *long_ids[:3]))
    assert {key[1:] for key in stored(db, "lucko", agent)} == {tuple(long_ids[:3]), tuple(long_ids[1:])}
