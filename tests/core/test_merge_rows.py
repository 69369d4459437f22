"""The merge: what is inserted, updated or left alone, whatever the order in which readings arrive."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from readings import Reading, at
from tieout.core.clock import epoch_ms
from tieout.core.errors import SuspectReading
from tieout.core.ledger import Certificate

START = at(2026, 3, 1, 12)
MINUTE = timedelta(minutes=1)
D = Decimal
Row = dict[str, Any]
Readings = type[Reading]


def read_at(minutes: int) -> datetime:
    return at(2026, 3, 1, 14) + minutes * MINUTE


def bet(ident: str, *, updated: int = 0, turnover: str = "100", **changes: Any) -> Row:
    """A settled bet, updated so many seconds into the slice."""
    return {
        "id": ident, "user_id": "u1", "game_id": "101", "bet_time": epoch_ms(START) - 60_000,
        "settle_time": epoch_ms(START), "bet_amount": "100", "valid_bet_turnover": turnover, "currency": "USD",
        "update_time": epoch_ms(START) + updated * 1000, "status": 1, **changes,
    }  # fmt: skip


def bets(reading: Readings, minutes: int, *rows: Row, agent: str = "acme", **fields: Any) -> Reading:
    made = reading.of("lucko", "bets", START, agent=agent, requested_at=read_at(minutes), **fields)
    return made.answer({"code": 200, "data": {"transactions": list(rows), "total": len(rows)}})


def rebate(ident: str, *links: str, amount: str = "1.00", **changes: Any) -> Row:
    return {
        "id": ident, "activity_id": "a1", "user_id": "u1", "date": epoch_ms(at(2026, 3, 1)), "currency": "USD",
        "turnover": "100", "rate": "1", "rebate_amount": amount, "status": 1, "wallet_txn_id": f"w-{ident}",
        "create_time": epoch_ms(START), "txn_ids": list(links), **changes,
    }  # fmt: skip


def rebates(reading: Readings, minutes: int, *rows: Row, agent: str = "acme") -> Reading:
    made = reading.of("lucko", "rebates", START, agent=agent, requested_at=read_at(minutes))
    return made.answer({"code": 200, "data": {"list": list(rows), "total": len(rows)}})


def game(code: str, amount: str = "10.0") -> Row:
    return {
        "gameType": "LIVE", "gameCode": code, "betAmount": float(amount), "winLoss": 0, "winAmount": float(amount),
        "validBet": 0,
    }  # fmt: skip


def summary(
    reading: Readings, minutes: int, *rows: Row, hours: float = 1, agent: str = "acme", **fields: Any
) -> Reading:
    made = reading.of(
        "hotroad", "summary", START, hours=hours, currency="USD", agent=agent, requested_at=read_at(minutes), **fields
    )
    return made.answer({"code": "0000", "data": {"list": list(rows)}})


def betlog(transfer: str, *, bet_id: str | None = None, win: str = "0.000000", seconds: int = 5) -> Row:
    stamp = f"{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.000Z"
    return {
        "betTime": stamp, "txTime": stamp, "currency": "THB", "gameCode": "g", "username": "u", "roundId": "r",
        "transferId": transfer, "betStatus": 2, "actualBetAmt": "1.000000", "validBetAmt": "1.000000", "winAmt": win,
        **({"betId": bet_id} if bet_id else {}),
    }  # fmt: skip


def betlogs(reading: Readings, minutes: int, *rows: Row, agent: str = "acme") -> Reading:
    made = reading.of("vertexplay", "betlogs", START, agent=agent, requested_at=read_at(minutes))
    return made.answer({"code": 0, "data": list(rows)})


def counts(certificate: Certificate) -> tuple[int, int, int, int]:
    return certificate.inserted, certificate.updated, certificate.unchanged, certificate.retired


def table(db: psycopg.Connection, name: str, columns: str, agent: str = "acme") -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM staging.{name} WHERE agent = %s ORDER BY 1, 2"
    return db.execute(query.encode(), (agent,)).fetchall()


# -- counts, and nothing written where nothing changed ----------------------------------------------------------


def test_counts(reading: Readings) -> None:
    assert counts(bets(reading, 0, bet("a"), bet("b"), bet("c")).load()) == (3, 0, 0, 0)
    later = bets(reading, 1, bet("a"), bet("b", updated=9, turnover="90"), bet("d"))
    assert counts(later.load()) == (1, 1, 1, 0)


PHYSICAL = "xmin::text, ctid::text"
FEEDS = {
    "lucko_bets": lambda reading, minutes: bets(
        reading, minutes, bet("a"), bet("b", bet_detail={"x": 1.5}, new="field")
    ),
    "lucko_rebates": lambda reading, minutes: rebates(reading, minutes, rebate("r", "a", "a", "b"), rebate("s")),
    "hotroad_summary": lambda reading, minutes: summary(reading, minutes, game("A"), game("B")),
    "vertexplay_betlogs": lambda reading, minutes: betlogs(reading, minutes, betlog("t1"), betlog("t2", bet_id="b2")),
}
SIDE_TABLES = {"lucko_bets": ["lucko_bet_versions"], "lucko_rebates": ["lucko_rebate_versions", "lucko_rebate_bets"]}


@pytest.mark.parametrize("name", sorted(FEEDS))
def test_reading_the_same_again_writes_nothing(reading: Readings, db: psycopg.Connection, name: str) -> None:
    tables = [name, *SIDE_TABLES.get(name, [])]
    first = FEEDS[name](reading, 0)
    assert counts(first.load()) == (2, 0, 0, 0)
    before = [table(db, one, f"*, {PHYSICAL}") for one in tables]
    assert counts(first.load()) == (0, 0, 2, 0)  # the same reading: a task that was retried
    assert counts(FEEDS[name](reading, 60).load()) == (0, 0, 2, 0)  # a revisit that finds the same
    assert [table(db, one, f"*, {PHYSICAL}") for one in tables] == before
    assert db.execute("SELECT state, inserted, unchanged FROM ops.readings ORDER BY pulled_at").fetchall() == [
        ("certified", 2, 0), ("certified", 0, 2),
    ]  # fmt: skip


def test_row_twice_in_one_reading_counts_once(reading: Readings, db: psycopg.Connection) -> None:
    made = reading.of("lucko", "bets", START, requested_at=read_at(0))
    pages = [[bet("a"), bet("b")], [bet("b", updated=3, turnover="90"), bet("c")]]
    made.answer(*({"code": 200, "data": {"transactions": page, "total": 3}} for page in pages))
    certificate = made.load()
    assert (certificate.state, certificate.rows, certificate.distinct_keys) == ("certified", 4, 3)
    assert table(db, "lucko_bets", "id, valid_bet_turnover") == [("a", D(100)), ("b", D(90)), ("c", D(100))]


def test_provenance_comes_from_the_manifest(reading: Readings, db: psycopg.Connection) -> None:
    first = bets(reading, 0, bet("a"), bet("b"))
    first.load()
    second = bets(reading, 7, bet("a", updated=5, turnover="90"), bet("b"))
    second.load()
    ids = [path.parent.name for path in (first.land(), second.land()) if path]
    assert len(ids) == 2
    found = table(db, "lucko_bets", "id, first_seen_at, last_changed_at")
    assert found == [("a", read_at(0), read_at(7)), ("b", read_at(0), read_at(0))]
    loads = db.execute("SELECT load_id, inserted, updated FROM ops.loads ORDER BY load_id").fetchall()
    assert [load[1:] for load in loads] == [(2, 0), (0, 1)]
    assert table(db, "lucko_bets", "id, load_id") == [("a", loads[1][0]), ("b", loads[0][0])]


# -- newer and older --------------------------------------------------------------------------------------------


def test_older_state_read_later_never_overwrites(reading: Readings, db: psycopg.Connection) -> None:
    bets(reading, 0, bet("a", updated=9, turnover="90")).load()
    assert counts(bets(reading, 5, bet("a", updated=3, turnover="80")).load()) == (0, 0, 1, 0)
    assert table(db, "lucko_bets", "id, valid_bet_turnover") == [("a", D(90))]


def test_with_equal_update_time_the_later_reading_wins(reading: Readings, db: psycopg.Connection) -> None:
    bets(reading, 5, bet("a", turnover="90")).load()
    assert counts(bets(reading, 0, bet("a", turnover="80")).load()) == (0, 0, 1, 0)
    assert table(db, "lucko_bets", "id, valid_bet_turnover") == [("a", D(90))]
    assert counts(bets(reading, 9, bet("a", turnover="70")).load()) == (0, 1, 0, 0)
    assert table(db, "lucko_bets", "id, valid_bet_turnover") == [("a", D(70))]


def test_late_older_reading_adds_absent_keys_and_history_only(reading: Readings, db: psycopg.Connection) -> None:
    bets(reading, 5, bet("a", turnover="90")).load()
    late = bets(reading, 0, bet("a", turnover="80"), bet("gone"))
    assert counts(late.load()) == (1, 0, 1, 0)
    assert table(db, "lucko_bets", "id, valid_bet_turnover") == [("a", D(90)), ("gone", D(100))]
    assert table(db, "lucko_bet_versions", "id, pulled_at, valid_bet_turnover") == [
        ("a", read_at(0), D(80)), ("a", read_at(5), D(90)), ("gone", read_at(0), D(100)),
    ]  # fmt: skip


def test_every_state_ever_read_is_in_the_history(reading: Readings, db: psycopg.Connection) -> None:
    placed = bet("a", updated=0, turnover="0", status=0, settle_time=0)
    settled = bet("a", updated=4, turnover="100")
    voided = bet("a", updated=8, turnover="0", status=4)
    for minutes, state in enumerate((placed, settled, settled, voided)):
        bets(reading, minutes, state).load()
    assert table(db, "lucko_bet_versions", "pulled_at, status, settle_time, update_time") == [
        (read_at(0), 0, None, START),
        (read_at(1), 1, START, START + timedelta(seconds=4)),
        (read_at(3), 4, START, START + timedelta(seconds=8)),
    ]


@pytest.mark.parametrize("name", ["lucko_bets", "lucko_rebates", "vertexplay_betlogs", "hotroad_summary"])
def test_order_of_arrival_does_not_matter(reading: Readings, db: psycopg.Connection, name: str) -> None:
    """Three readings of one slice, loaded in each of the six orders by an agent of its own."""
    build: Callable[[str], list[Reading]] = {
        "lucko_bets": lambda agent: [
            bets(reading, 0, bet("a", updated=1), bet("b", updated=2), agent=agent),
            bets(reading, 5, bet("a", updated=7, turnover="70"), bet("c"), agent=agent),
            bets(reading, 9, bet("a", updated=7, turnover="60"), bet("b", updated=2, turnover="50"), agent=agent),
        ],
        "lucko_rebates": lambda agent: [
            rebates(reading, 0, rebate("r", "a"), rebate("s", "x"), agent=agent),
            rebates(reading, 5, rebate("r", "a", "b"), agent=agent),
            rebates(reading, 9, rebate("r", "c", "c", amount="2.00"), agent=agent),
        ],
        "vertexplay_betlogs": lambda agent: [
            betlogs(reading, 0, betlog("t1"), betlog("t2"), agent=agent),
            betlogs(reading, 5, betlog("t1", bet_id="b1", win="2.000000"), betlog("t3"), agent=agent),
            betlogs(reading, 9, betlog("t1", bet_id="b1", win="3.000000"), betlog("t2", win="1.000000"), agent=agent),
        ],
        "hotroad_summary": lambda agent: [
            summary(reading, 0, game("A"), game("B"), agent=agent),
            summary(reading, 5, game("A", "20.0"), game("C"), agent=agent),
            summary(reading, 9, game("B", "30.0"), game("C"), agent=agent),
        ],
    }[name]
    columns = {
        "lucko_bets": "id, valid_bet_turnover, last_changed_at",
        "lucko_rebates": "id, rebate_amount, txn_ids, last_changed_at",
        "vertexplay_betlogs": "bet_key, win_amt, last_changed_at",
        "hotroad_summary": "game_code, bet_amount, retired_at IS NULL",
    }[name]
    outcomes = []
    for number, order in enumerate(itertools.permutations(range(3))):
        made = build(f"agent{number}")
        for position in order:
            made[position].load()
        found = table(db, name, columns, f"agent{number}")
        # Of a snapshot only what stands counts: rows no newest reading shows are retired, or were never added.
        outcomes.append([row for row in found if row[-1]] if name == "hotroad_summary" else found)
        if name == "lucko_rebates":
            outcomes[-1] += table(db, "lucko_rebate_bets", "rebate_id, bet_id, times", f"agent{number}")
    assert all(outcome == outcomes[0] for outcome in outcomes)
    expected = {
        "lucko_bets": [("a", D(60), read_at(9)), ("b", D(50), read_at(9)), ("c", D(100), read_at(5))],
        "lucko_rebates": [
            ("r", D(2), ["c", "c"], read_at(9)), ("s", D(1), ["x"], read_at(0)), ("r", "c", 2), ("s", "x", 1),
        ],
        "vertexplay_betlogs": [
            ("bet:b1", D(3), read_at(9)), ("transfer:t2", D(1), read_at(9)), ("transfer:t3", D(0), read_at(5)),
        ],
        "hotroad_summary": [("B", D(30), True), ("C", D(10), True)],
    }[name]  # fmt: skip
    assert outcomes[0] == expected


def test_absence_deletes_nothing_in_lucko(reading: Readings, db: psycopg.Connection) -> None:
    bets(reading, 0, bet("a"), bet("b")).load()
    assert counts(bets(reading, 5, bet("b")).load()) == (0, 0, 1, 0)
    assert [row[0] for row in table(db, "lucko_bets", "id, id")] == ["a", "b"]


def test_agents_do_not_touch_each_other(reading: Readings, db: psycopg.Connection) -> None:
    bets(reading, 0, bet("a"), agent="one").load()
    bets(reading, 5, bet("a", updated=5, turnover="50"), agent="two").load()
    assert table(db, "lucko_bets", "id, valid_bet_turnover", "one") == [("a", D(100))]
    assert table(db, "lucko_bets", "id, valid_bet_turnover", "two") == [("a", D(50))]


# -- snapshots --------------------------------------------------------------------------------------------------

GAMES = "game_code, bet_amount, retired_at"


def test_snapshot_is_replaced_and_what_vanished_is_retired(reading: Readings, db: psycopg.Connection) -> None:
    assert counts(summary(reading, 0, game("A"), game("B")).load()) == (2, 0, 0, 0)
    assert counts(summary(reading, 5, game("B", "20.0"), game("C")).load()) == (1, 1, 0, 1)
    assert table(db, "hotroad_summary", GAMES) == [("A", D(10), read_at(5)), ("B", D(20), None), ("C", D(10), None)]


def test_retired_row_that_comes_back_is_active_again(reading: Readings, db: psycopg.Connection) -> None:
    summary(reading, 0, game("A"), game("B")).load()
    summary(reading, 5, game("B")).load()
    assert counts(summary(reading, 6, game("B")).load()) == (0, 0, 1, 0)
    assert counts(summary(reading, 9, game("A"), game("B")).load()) == (0, 1, 1, 0)
    assert table(db, "hotroad_summary", GAMES) == [("A", D(10), None), ("B", D(10), None)]


def test_older_snapshot_read_late_leaves_what_it_would_have_left_in_order(
    reading: Readings, db: psycopg.Connection
) -> None:
    summary(reading, 5, game("A", "20.0")).load()
    late = summary(reading, 0, game("A"), game("B")).load()
    assert (late.state, *counts(late)) == ("certified", 1, 0, 1, 1)
    assert table(db, "hotroad_summary", f"{GAMES}, first_seen_at") == [
        ("A", D(20), None, read_at(0)),
        ("B", D(10), read_at(5), read_at(0)),
    ]


def test_empty_snapshot_retires_all(reading: Readings, db: psycopg.Connection) -> None:
    summary(reading, 0, game("A")).load()
    assert counts(summary(reading, 5).load()) == (0, 0, 0, 1)
    assert table(db, "hotroad_summary", GAMES) == [("A", D(10), read_at(5))]


def test_snapshot_retires_in_its_own_hours_only(reading: Readings, db: psycopg.Connection) -> None:
    both = summary(reading, 0, game("A"), hours=2)
    both.answer({"code": "0000", "data": {"list": [game("A")]}}).load()
    summary(reading, 5).load()
    assert table(db, "hotroad_summary", "hour_start, retired_at") == [
        (START, read_at(5)), (START + timedelta(hours=1), None),
    ]  # fmt: skip


def test_older_wide_snapshot_still_fills_hours_nobody_read_since(reading: Readings, db: psycopg.Connection) -> None:
    summary(reading, 5, game("A", "20.0")).load()
    wide = summary(reading, 0, game("A"), hours=2)
    wide.answer({"code": "0000", "data": {"list": [game("A", "30.0")]}})
    assert counts(wide.load()) == (1, 0, 1, 0)
    assert table(db, "hotroad_summary", "hour_start, bet_amount") == [
        (START, D(20)), (START + timedelta(hours=1), D(30)),
    ]  # fmt: skip


@pytest.mark.parametrize("flaw", ["problem", "reject"])
def test_flawed_snapshot_retires_nothing(reading: Readings, db: psycopg.Connection, flaw: str) -> None:
    summary(reading, 0, game("A"), game("B")).load()
    made = summary(reading, 5, game("B"), problem="something moved" if flaw == "problem" else None)
    if flaw == "reject":
        made.edit(lambda answer: answer["data"]["list"].append({"gameType": 7}))
    with pytest.raises(SuspectReading):
        made.load()
    assert [row[2] for row in table(db, "hotroad_summary", GAMES)] == [None, None]


def test_jdb_retires_by_day_and_game_type(reading: Readings, db: psycopg.Connection) -> None:
    def daily(minutes: int, *answers: list[str]) -> Certificate:
        made = reading.of(
            "jdb", "daily", at(2026, 2, 27, 4), hours=24, currency="RMB", g_types=("0", "7"),
            requested_at=read_at(minutes),
        )  # fmt: skip
        for uids in answers:
            rows = [{"uid": uid, "bet": -1, "win": 1, "netWin": 0, "validBet": -1} for uid in uids]
            made.answer({"status": "0000", "data": rows})
        return made.load()

    assert counts(daily(0, ["p", "q"], ["p"])) == (3, 0, 0, 0)
    assert counts(daily(5, ["q"], ["p"])) == (0, 0, 2, 1)
    found = table(db, "jdb_daily", "g_type, uid, report_date::text, retired_at")
    assert found == [
        ("0", "p", "2026-02-27", read_at(5)), ("0", "q", "2026-02-27", None), ("7", "p", "2026-02-27", None),
    ]  # fmt: skip


# -- VertexPlay's two keys --------------------------------------------------------------------------------------

KEYS = "bet_key, transfer_id, bet_id"


def test_bet_id_supersedes_the_transfer_id(reading: Readings, db: psycopg.Connection) -> None:
    betlogs(reading, 0, betlog("t1"), betlog("t2")).load()
    betlogs(reading, 5, betlog("t1", bet_id="b1"), betlog("t2")).load()
    assert table(db, "vertexplay_betlogs", KEYS) == [("bet:b1", "t1", "b1"), ("transfer:t2", "t2", None)]


def test_transfer_id_alone_never_supersedes_a_bet_id(reading: Readings, db: psycopg.Connection) -> None:
    betlogs(reading, 0, betlog("t1", bet_id="b1")).load()
    betlogs(reading, 5, betlog("t1")).load()
    assert table(db, "vertexplay_betlogs", KEYS) == [("bet:b1", "t1", "b1")]


def test_both_forms_in_one_reading_are_one_bet(reading: Readings, db: psycopg.Connection) -> None:
    betlogs(reading, 0, betlog("t1"), betlog("t1", bet_id="b1")).load()
    assert table(db, "vertexplay_betlogs", KEYS) == [("bet:b1", "t1", "b1")]


def test_one_transfer_may_hold_several_bets(reading: Readings, db: psycopg.Connection) -> None:
    betlogs(reading, 0, betlog("t1", bet_id="b1"), betlog("t1", bet_id="b2")).load()
    assert table(db, "vertexplay_betlogs", KEYS) == [("bet:b1", "t1", "b1"), ("bet:b2", "t1", "b2")]


# -- the links of rebates ---------------------------------------------------------------------------------------

LINKS = "rebate_id, bet_id, times"


def test_links_are_distinct_and_counted(reading: Readings, db: psycopg.Connection) -> None:
    rebates(reading, 0, rebate("r", "b", "a", "b"), rebate("empty")).load()
    assert table(db, "lucko_rebate_bets", LINKS) == [("r", "a", 1), ("r", "b", 2)]


def test_links_of_a_changed_rebate_are_rewritten_and_others_left(reading: Readings, db: psycopg.Connection) -> None:
    rebates(reading, 0, rebate("r", "a", "b"), rebate("s", "c")).load()
    untouched = table(db, "lucko_rebate_bets", f"rebate_id, bet_id, {PHYSICAL}")[-1]
    rebates(reading, 5, rebate("r", "b", "x", "x"), rebate("s", "c")).load()
    assert table(db, "lucko_rebate_bets", LINKS) == [("r", "b", 1), ("r", "x", 2), ("s", "c", 1)]
    assert table(db, "lucko_rebate_bets", f"rebate_id, bet_id, {PHYSICAL}")[-1] == untouched
    rebates(reading, 9, rebate("r"), rebate("s", "c")).load()
    assert table(db, "lucko_rebate_bets", LINKS) == [("s", "c", 1)]


def test_late_older_rebate_does_not_bring_its_links_back(reading: Readings, db: psycopg.Connection) -> None:
    rebates(reading, 5, rebate("r", "new")).load()
    rebates(reading, 0, rebate("r", "old")).load()
    assert table(db, "lucko_rebate_bets", LINKS) == [("r", "new", 1)]
    assert table(db, "lucko_rebate_versions", "pulled_at, txn_ids") == [(read_at(0), ["old"]), (read_at(5), ["new"])]
