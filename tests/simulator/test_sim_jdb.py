"""JDB over HTTP."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from sim_clients import DAY, HOUR, JDB, NOW, SECOND, Client, wall

import simulator
from simulator import crypto
from simulator.wire.jdb import newest_date, oldest_date

# NOW is 2026-03-10 20:34 in UTC+8: the report of the 9th ended at noon of the 10th.
DATE = "09-03-2026"


def test_rows(client: Client) -> None:
    seen = 0
    for g_type in JDB.g_types:
        params = {"dc": JDB.dc, "x": _x({"gType": g_type, "date": DATE})}
        body = json.loads(client.get("/apiRequest.do", params=params).text, parse_float=Decimal)
        assert body["status"] == "0000"
        for row in body["data"]:
            assert set(row) == {
                *("uid", "bet", "win", "netWin", "jackpot", "jackpotContribute", "count", "validBet", "tax ")
            }
            assert row["netWin"] == row["bet"] + row["win"]
            assert row["bet"] < 0
            assert row["validBet"] < 0
            assert row["jackpotContribute"] <= 0
            assert row["tax "] <= 0
            assert isinstance(row["count"], int)
            assert all(Decimal(row[k]) * 10000 % 1 == 0 for k in ("bet", "win", "jackpotContribute"))
            seen += 1
    assert seen > 10


def _x(payload: dict[str, object]) -> str:
    full = {"action": 42, "ts": wall(), "parent": JDB.agent_id} | payload
    return crypto.jdb_encrypt(json.dumps(full), key=JDB.aes_key, iv=JDB.iv)


def test_a_quiet_game_type_is_empty(client: Client) -> None:
    assert client.daily(DATE, "66") == {"status": "0000", "data": []}


def test_numbers_are_taken_as_integer_and_as_text(client: Client) -> None:
    assert client.daily(DATE, 7) == client.daily(DATE, "7")


@pytest.mark.parametrize(
    ("date", "status"),
    [
        (DATE, "0000"),
        ("10-03-2026", "8006"),
        ("11-03-2026", "8006"),
        ("10-12-2025", "0000"),
        ("09-12-2025", "8009"),
        ("2026-03-09", "8005"),
        ("9-3-2026", "8005"),
        ("31-02-2026", "8005"),
        ("", "8001"),
        (None, "8001"),
        (20260309, "8005"),
    ],
)
def test_dates(client: Client, date: object, status: str) -> None:
    assert client.daily(date)["status"] == status


def test_availability_follows_the_documents_examples() -> None:
    """'Action 42' asks at three times of 05-01-2016; the day that ended at noon is there one hour later."""

    def newest(hour: int, minute: int) -> str:
        midnight = 1_451_923_200_000  # 05-01-2016 00:00 in UTC+8
        return newest_date(midnight + hour * HOUR + minute * 60_000).strftime("%d-%m-%Y")

    assert newest(18, 23) == "04-01-2016"
    assert newest(9, 23) == "03-01-2016"
    assert newest(12, 11) == "03-01-2016"
    assert newest(12, 59) == "03-01-2016"
    assert newest(13, 0) == "04-01-2016"
    assert oldest_date(NOW).strftime("%d-%m-%Y") == "10-12-2025"


@pytest.mark.parametrize(
    ("bend", "status"),
    [
        ({"dc": "x"}, "9002"),
        ({"dc": "other"}, "9003"),
        ({"x": ""}, "9004"),
        ({"x": "AAAA"}, "9006"),
        ({"key": "another key"}, "9006"),
        ({"padding": "nul"}, "9006"),
        ({"padding": "pkcs7"}, "9006"),
        ({"action": 43}, "9007"),
        ({"action": "42"}, "9007"),
        ({"parent": "nobody"}, "7001"),
        ({"ts": None}, "9005"),
        ({"ts": "now"}, "9005"),
        ({"g_type": "slots"}, "8007"),
        ({"g_type": -1}, "8007"),
        ({"g_type": True}, "8007"),
        ({"g_type": None}, "8001"),
    ],
)
def test_refusals(client: Client, bend: dict[str, object], status: str) -> None:
    answer = client.daily(DATE, **bend)
    assert answer["status"] == status
    assert answer["err_text"]
    assert "data" not in answer


@pytest.mark.parametrize(("age", "status"), [(28, "0000"), (32, "9005"), (-32, "9005")])
def test_a_cipher_text_is_valid_thirty_seconds(client: Client, age: int, status: str) -> None:
    assert client.daily(DATE, ts=wall() - age * SECOND)["status"] == status


@pytest.mark.parametrize("padding", ["nul", "pkcs7"])
def test_other_paddings(padding: str) -> None:
    agent = simulator.JdbAgent(agent_id=JDB.agent_id, aes_key=JDB.aes_key, iv=JDB.iv, dc=JDB.dc, padding=padding)
    with simulator.serve(simulator.SimConfig(agents=(agent,), quota_scale=0, now=NOW)) as server:
        client = Client(server.url)
        assert client.daily(DATE, padding=padding)["status"] == "0000"
        assert client.daily(DATE, padding="space")["status"] == "9006"


def test_two_parents_of_one_domain() -> None:
    second = simulator.JdbAgent(agent_id="second", aes_key="another-aes-key1", iv=JDB.iv, dc=JDB.dc, card_games=False)
    with simulator.serve(simulator.SimConfig(agents=(JDB, second), quota_scale=0, now=NOW)) as server:
        client = Client(server.url)
        own = client.daily(DATE, "7", parent="second", key=second.aes_key)
        assert own["status"] == client.daily(DATE, "7")["status"] == "0000"
        assert own["data"] != client.daily(DATE, "7")["data"]
        assert all("tax " not in row for row in own["data"])
        assert {"date", "gType"} < set(client.sim("truth/rows", feed="jdb_daily", agent="second", **_day())[0])


def _day() -> dict[str, int]:
    return {"from": NOW - 3 * DAY, "to": NOW - DAY}
