"""HotRoad over HTTP."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import sim_clients
from sim_clients import DAY, HOTROAD, HOUR, NOW, Client

import simulator

THIS_HOUR = NOW // HOUR * HOUR
END = THIS_HOUR - HOUR


def test_rows_keep_the_identities(client: Client) -> None:
    response = client.summary(END - DAY, END)
    body = json.loads(response.text, parse_float=Decimal)
    assert body["code"] == "0000"
    rows = body["data"]["list"]
    assert len({(row["gameType"], row["gameCode"]) for row in rows}) == len(rows) > 3
    for row in rows:
        assert row["winAmount"] == row["betAmount"] + row["winLoss"]
        assert row["betAmount"] == row["realCredit"] + row["freeCredit"] + row["promotionCredit"]
        numbers = [value for value in row.values() if not isinstance(value, str)]
        assert len(numbers) == 8
        assert all(isinstance(value, Decimal) and value * 10000 % 1 == 0 for value in numbers)


def test_a_window_is_the_sum_of_its_hours(client: Client) -> None:
    whole = json.loads(client.summary(END - 5 * HOUR, END).text, parse_float=Decimal)["data"]["list"]
    sums: dict[tuple[str, str], Decimal] = {}
    for n in range(5):
        start = END - (5 - n) * HOUR
        for row in json.loads(client.summary(start, start + HOUR).text, parse_float=Decimal)["data"]["list"]:
            key = (row["gameType"], row["gameCode"])
            sums[key] = sums.get(key, Decimal(0)) + row["winLoss"]
    assert sums == {(row["gameType"], row["gameCode"]): row["winLoss"] for row in whole}


def test_filters(client: Client) -> None:
    rows = client.summary(END - DAY, END, gameType="LIVE").json()["data"]["list"]
    assert {row["gameType"] for row in rows} == {"LIVE"}
    rows = client.summary(END - DAY, END, gameType="LIVE", gameCode="ROULETTE").json()["data"]["list"]
    assert [row["gameCode"] for row in rows] == ["ROULETTE"]


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (END - DAY, END, "0000"),
        (END - HOUR, END, "0000"),
        (END - DAY - HOUR, END, "1005"),
        (END, END, "1005"),
        (END, END - HOUR, "1005"),
        (END, THIS_HOUR, "1007"),
        (THIS_HOUR + DAY, THIS_HOUR + DAY + HOUR, "1007"),
        (NOW // HOUR * HOUR - 40 * DAY, NOW // HOUR * HOUR - 40 * DAY + HOUR, "1006"),
        (NOW // HOUR * HOUR - 40 * DAY + HOUR, NOW // HOUR * HOUR - 40 * DAY + 2 * HOUR, "0000"),
        ("2026-03-09T00+08:00", END, "1001"),
        ("2026-03-09T00:00:00.000+0800", END, "1001"),
        ("2026-03-09T00+0000", END, "1001"),
        ("2026-03-09T24+0800", END, "1001"),
        ("2026-13-09T00+0800", END, "1001"),
        (None, END, "1001"),
        (7.5, END, "1001"),
    ],
)
def test_windows(client: Client, start: object, end: object, code: str) -> None:
    response = client.summary(start, end)
    assert (response.status_code, response.json()["code"]) == (200, code)


@pytest.mark.parametrize("extra", [{"gameType": "x" * 11}, {"gameCode": "x" * 21}, {"gameType": 5}, {"agentId": 5}])
def test_parameters(client: Client, extra: dict[str, object]) -> None:
    assert client.summary(END - HOUR, END, **extra).json()["code"] == "1001"


def test_identity(client: Client) -> None:
    assert client.summary(END - HOUR, END, agentId="nobody").json()["code"] == "1002"
    refused = client.summary(END - HOUR, END, auth=(HOTROAD.username, "wrong"))
    assert (refused.status_code, refused.json()["code"]) == (401, "1003")
    for headers in ({}, {"Authorization": "Basic ***"}, sim_clients.basic("nocolon"), {"Authorization": "Bearer x"}):
        response = client.post("/api/get_transactions_summary", json={}, headers=headers)
        assert response.status_code == 401
    right = sim_clients.basic(f"{HOTROAD.username}:{HOTROAD.password}")
    for body in (b"", b"[]", b"{", b"\xff"):
        response = client.post("/api/get_transactions_summary", data=body, headers=right)
        assert response.json()["code"] == "1001"


def test_late_settlements_change_an_hour(server: simulator.RunningServer) -> None:
    world = server.world.hotroad[HOTROAD.agent_id]
    hours = range(END - DAY, END, HOUR)
    early = [world.summary(hour, hour + HOUR, as_of=hour + 2 * HOUR) for hour in hours]
    late = [world.summary(hour, hour + HOUR, as_of=hour + 26 * HOUR) for hour in hours]
    later = [world.summary(hour, hour + HOUR, as_of=hour + 50 * HOUR) for hour in hours]
    assert early != late == later
