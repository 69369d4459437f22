"""Lucko over HTTP: shapes, edges, paging and every way to be refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
import sim_clients
from sim_clients import BETS, DAY, HOUR, LUCKO, MINUTE, NOW, REBATES, TODAY, Client, wall

import simulator
from simulator import crypto

WINDOW = {"start_time": TODAY - DAY, "end_time": TODAY - DAY + HOUR, "start_index": 0, "page_size": 100}
BILL = {"time_start": TODAY, "time_end": NOW, "start": 0, "count": 100}


def test_bet_rows_have_the_documented_shape(client: Client) -> None:
    answer = client.bets(TODAY - DAY, TODAY - 1)
    assert (answer["code"], answer["message"]) == (200, "success")
    data = answer["data"]
    assert list(data) == ["start_index", "page_size", "total", "transactions"]
    assert data["total"] == len(data["transactions"]) > 1000
    row = data["transactions"][0]
    assert set(row) == {
        *("id", "user_id", "game_id", "inst_id", "shoe_id", "round_id", "bet_time", "settle_time", "bet_amount"),
        *("real_bet_amount", "valid_bet_turnover", "win_amount", "currency", "real_win_amount", "bet_detail"),
        *("win_detail", "no_comm", "game_result", "open_cards", "create_time", "update_time", "status"),
    }
    for row in data["transactions"]:
        assert all(isinstance(value, str) for value in row["win_detail"].values())
        assert not any(isinstance(value, str) for value in row["bet_detail"].values())
        assert sum(Decimal(str(v)) for v in row["bet_detail"].values()) == Decimal(row["bet_amount"])
        if row["status"] == 1:
            assert Decimal(row["real_win_amount"]) == Decimal(row["win_amount"]) - Decimal(row["bet_amount"])
            assert sum(map(Decimal, row["win_detail"].values())) == Decimal(row["win_amount"])
            assert row["settle_time"] > row["bet_time"]
            assert 0 <= Decimal(row["valid_bet_turnover"]) <= Decimal(row["bet_amount"])
    settled = [row for row in data["transactions"] if row["status"] == 1]
    quiet = [row for row in settled if row["update_time"] == row["bet_time"] < row["settle_time"]]
    assert 0.05 < len(quiet) / len(settled) < 0.2
    assert {row["status"] for row in data["transactions"]} >= {1, 2, 3, 4}
    assert {row["game_id"] for row in settled} >= {"101", "103"}
    assert {row["currency"] for row in settled} == {"USD", "CNY", "VND2"}


def test_an_open_bet_shows_neither_settlement_nor_turnover(client: Client) -> None:
    rows = client.bets(NOW - HOUR, NOW)["data"]["transactions"]
    placed = [row for row in rows if row["status"] == 0]
    assert placed
    for row in placed:
        assert (row["settle_time"], row["valid_bet_turnover"]) == (0, "0")
        assert row["update_time"] == row["bet_time"] <= NOW
    assert all(row["settle_time"] <= NOW for row in rows)


def test_bets_come_by_update_time_and_id(client: Client) -> None:
    rows = client.bets(TODAY - DAY, TODAY - 1)["data"]["transactions"]
    keys = [(row["update_time"], row["id"]) for row in rows]
    assert keys == sorted(keys)
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(TODAY - DAY <= row["update_time"] < TODAY - 1 for row in rows)


def test_bets_start_is_inclusive_and_end_exclusive(client: Client) -> None:
    start, end = TODAY - DAY, TODAY - DAY + HOUR
    whole = client.bets(start, end)["data"]["transactions"]
    assert whole[0]["update_time"] == start
    last = max(row["update_time"] for row in whole)
    assert last == end - 1
    assert all(row["update_time"] != last for row in client.bets(start, last)["data"]["transactions"])
    assert all(row["update_time"] == last for row in client.bets(last, last + 1)["data"]["transactions"])
    assert client.bets(start + 1, end)["data"]["total"] < len(whole)


def test_adjoining_windows_part_the_rows(client: Client) -> None:
    start = TODAY - 2 * DAY
    hours = [start + n * HOUR for n in range(12)]
    parts = [row for hour in hours for row in client.bets(hour, hour + HOUR)["data"]["transactions"]]
    assert parts == client.bets(start, start + 12 * HOUR)["data"]["transactions"]


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_pages_make_up_the_window(client: Client, size: int) -> None:
    whole = client.bets(TODAY - DAY, TODAY - DAY + HOUR)["data"]["transactions"]
    rows: list[Any] = []
    while True:
        data = client.bets(TODAY - DAY, TODAY - DAY + HOUR, start_index=len(rows), page_size=size)["data"]
        assert (data["start_index"], data["page_size"], data["total"]) == (len(rows), size, len(whole))
        rows += data["transactions"]
        if len(data["transactions"]) < size:
            break
    assert rows == whole


def test_rebate_rows_have_the_documented_shape(client: Client) -> None:
    data = client.rebates(TODAY, NOW)["data"]
    assert list(data) == ["start", "page_size", "total", "list"]
    rows = data["list"]
    assert len(rows) == data["total"] > 100
    for row in rows:
        assert ("wallet_txn_id" in row) == (row["status"] == 1)
        assert row["date"] == TODAY - DAY
        assert row["rate"] in ("0.5", "1", "1.25", "2")
        assert isinstance(row["turnover"], str)
        assert isinstance(row["rebate_amount"], str)
        assert isinstance(row["txn_ids"], list)
    assert [row for row in rows if not row["txn_ids"] and row["turnover"] == "0"]
    keys = [(row["create_time"], row["id"]) for row in rows]
    assert keys == sorted(keys)


def test_some_rebates_fail(client: Client) -> None:
    rows = client.rebates(TODAY - 5 * DAY, NOW, status=0)["data"]["list"]
    assert rows
    assert all(row["status"] == 0 and "wallet_txn_id" not in row for row in rows)


def test_rebate_bounds_are_both_inclusive(client: Client) -> None:
    first, last = TODAY + 10 * MINUTE, TODAY + HOUR - 1
    rows = client.rebates(first, last)["data"]["list"]
    assert (rows[0]["create_time"], rows[-1]["create_time"]) == (first, last)
    assert len(client.rebates(first, last - 1)["data"]["list"]) == len(rows) - 1
    assert len(client.rebates(first + 1, last)["data"]["list"]) == len(rows) - 1
    assert [row["create_time"] for row in client.rebates(first, first)["data"]["list"]] == [first]


def test_rebate_bounds_may_be_left_open() -> None:
    config = simulator.SimConfig(seed=7, quota_scale=0, now=NOW, activity_from=TODAY - 3 * DAY)
    with simulator.serve(config) as server:
        client = Client(server.url)
        rows = client.rebates(None, None)["data"]["list"]
        assert rows == client.rebates(TODAY - 3 * DAY, NOW)["data"]["list"]
        assert {row["date"] for row in rows} == {TODAY - n * DAY for n in (1, 2, 3)}
        assert client.rebates(TODAY, None)["data"]["list"] == client.rebates(TODAY, NOW)["data"]["list"]


def test_rebate_filters_and_pages(client: Client) -> None:
    rows = client.rebates(TODAY, NOW)["data"]["list"]
    some = next(row for row in rows if row["user_id"].startswith("玩家"))
    mine = client.rebates(TODAY, NOW, user_id=some["user_id"])["data"]["list"]
    assert mine == [row for row in rows if row["user_id"] == some["user_id"]]
    assert client.rebates(TODAY, NOW, activity_id=some["activity_id"])["data"]["total"] == len(rows)
    assert client.rebates(TODAY, NOW, activity_id="0" * 24)["data"]["total"] == 0
    assert client.rebates(TODAY, NOW, user_id="", status="")["data"]["list"] == rows
    page = client.lucko(REBATES, BILL | {"start": len(rows) - 1, "count": 50})["data"]
    assert (page["list"], page["page_size"]) == (rows[-1:], 50)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"agent_id": None}, 408000),
        ({"agent_id": "nobody"}, 700101),
        ({"agent_id": ""}, 408000),
        ({"start_time": None}, 408000),
        ({"end_time": ""}, 408000),
        ({"start_index": None}, 408000),
        ({"page_size": None}, 408000),
        ({"timestamp": None}, 408000),
        ({"timestamp": "soon"}, 600101),
        ({"sign": "0" * 32}, 600100),
        ({"page_size": 5001}, 600101),
        ({"page_size": 0}, 600101),
        ({"page_size": "1e3"}, 600101),
        ({"start_index": -1}, 600101),
        ({"start_index": "٣"}, 600101),
        ({"start_time": "x"}, 600101),
        ({"end_time": WINDOW["start_time"]}, 700401),
        ({"end_time": WINDOW["start_time"] + DAY}, 700401),
        ({"start_time": NOW - HOUR, "end_time": NOW + 1}, 700401),
        ({"start_time": NOW - 90 * DAY - 1, "end_time": NOW - 90 * DAY + HOUR}, 700401),
    ],
)
def test_bets_are_refused(client: Client, change: dict[str, object], code: int) -> None:
    assert client.lucko(BETS, WINDOW | change)["code"] == code


def test_bets_limits_are_exact(client: Client) -> None:
    assert client.bets(TODAY - DAY, TODAY - 1)["code"] == 200
    assert client.bets(NOW - HOUR, NOW)["code"] == 200
    assert client.bets(NOW - 90 * DAY, NOW - 90 * DAY + HOUR)["code"] == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"agent_id": "nobody"}, 700101),
        ({"start": None}, 408000),
        ({"count": None}, 408000),
        ({"timestamp": None}, 408000),
        ({"sign": "0" * 32}, 600100),
        ({"count": 0}, 600101),
        ({"count": 3001}, 600101),
        ({"status": "2"}, 600101),
        ({"time_start": "x"}, 600101),
        ({"time_end": "-1"}, 600101),
        ({"time_start": TODAY, "time_end": TODAY - 1}, 600101),
    ],
)
def test_rebates_are_refused(client: Client, change: dict[str, object], code: int) -> None:
    assert client.lucko(REBATES, BILL | change)["code"] == code


@pytest.mark.parametrize(("age", "code"), [(9, 200), (11, 408000), (-9, 200), (-11, 408000)])
def test_a_timestamp_is_valid_ten_minutes_of_the_wall_clock(client: Client, age: int, code: int) -> None:
    assert client.lucko(BETS, WINDOW | {"timestamp": wall() - age * MINUTE})["code"] == code


def test_the_zero_index_must_be_signed(client: Client) -> None:
    params = {k: str(v) for k, v in (WINDOW | {"agent_id": LUCKO.agent_id, "timestamp": wall()}).items()}
    unsigned = {k: v for k, v in params.items() if k != "start_index"}
    params["sign"] = crypto.lucko_sign(unsigned, key=LUCKO.sign_key)
    assert client.lucko_raw(BETS, urlencode(params))["code"] == 600100


def test_a_key_sent_twice_is_refused(client: Client) -> None:
    params = {k: str(v) for k, v in (WINDOW | {"agent_id": LUCKO.agent_id, "timestamp": wall()}).items()}
    params["sign"] = crypto.lucko_sign(params, key=LUCKO.sign_key)
    query = urlencode(params)
    assert client.lucko_raw(BETS, query)["code"] == 200
    assert client.lucko_raw(BETS, f"{query}&page_size=100")["code"] == 408000
    assert client.lucko_raw(BETS, f"{query}&extra=1")["code"] == 600100
    assert client.lucko_raw(BETS, f"{query}&empty=")["code"] == 200
    assert client.lucko_raw(BETS, f"{query}&x=%ff")["code"] == 408000


def test_the_wrong_key_and_the_whitelist(client: Client) -> None:
    assert client.lucko(BETS, WINDOW, key="another")["code"] == 600100
    agent = simulator.LuckoAgent(agent_id=LUCKO.agent_id, sign_key=LUCKO.sign_key, ip_whitelist=("192.0.2.1",))
    config = simulator.SimConfig(agents=(agent,), quota_scale=0, now=NOW)
    with simulator.serve(config) as server:
        assert Client(server.url).lucko(BETS, WINDOW)["code"] == 408003


def test_gzip_only_when_accepted(client: Client) -> None:
    full = {name: str(value) for name, value in (WINDOW | {"agent_id": LUCKO.agent_id, "timestamp": wall()}).items()}
    full["sign"] = crypto.lucko_sign(full, key=LUCKO.sign_key)
    zipped = client.get(BETS, params=full, headers={"Accept-Encoding": "gzip"})
    plain = client.get(BETS, params=full, headers={"Accept-Encoding": "identity"})
    assert zipped.headers.get("Content-Encoding") == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert zipped.content == plain.content


def test_only_the_documented_method(client: Client) -> None:
    assert client.post(BETS).status_code == 405
    assert sim_clients.Client(client.url).get("/nothing").status_code == 404
