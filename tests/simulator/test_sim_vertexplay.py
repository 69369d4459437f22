"""VertexPlay over HTTP."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from sim_clients import DAY, MINUTE, NOW, SECOND, VERTEXPLAY, Client, iso, wall

import simulator
from simulator import crypto

START = NOW // DAY * DAY + 3 * 3_600_000
END = START + 10 * MINUTE


def test_rows(client: Client) -> None:
    response = client.betlogs(START, END)
    body = response.json()
    assert (response.status_code, body["code"], body["message"]) == (200, 0, "No error.")
    assert re.fullmatch(r"[0-9a-f-]{36}", body["logUUID"])
    rows = body["data"]
    assert len(rows) >= 3
    for row in rows:
        assert set(row) == {
            *("betTime", "txTime", "currency", "brand", "gameCode", "username", "roundId", "transferId"),
            *("betStatus", "actualBetAmt", "validBetAmt", "winAmt", "jackpotWin", "jackpotContribute", "betSourceId"),
        }
        assert re.fullmatch(r"\d{19}", row["transferId"])
        assert re.fullmatch(r"\d{19}", row["roundId"])
        for name in ("actualBetAmt", "validBetAmt", "winAmt", "jackpotWin", "jackpotContribute"):
            assert re.fullmatch(r"\d+\.\d{6}", row[name])
        assert iso(START) <= row["betTime"] < iso(END)
        assert row["txTime"] >= row["betTime"]
    assert rows[0]["betTime"] == iso(START)
    assert rows[-1]["betTime"] == iso(END - 1)


def test_edges(client: Client) -> None:
    whole = client.betlogs(START, END).json()["data"]
    assert client.betlogs(START + 1, END).json()["data"] == [r for r in whole if r["betTime"] != iso(START)]
    assert client.betlogs(START, END - 1).json()["data"] == [r for r in whole if r["betTime"] != iso(END - 1)]
    assert client.betlogs(iso(START)[:19] + "Z", END).json()["data"] == whole


def test_statuses_and_sources(client: Client) -> None:
    window = {"from": NOW - DAY, "to": NOW}
    rows = client.sim("truth/rows", feed="vertexplay_betlogs", agent=VERTEXPLAY.agent_id, **window)
    assert {row["betStatus"] for row in rows} >= {2, 3}
    assert len({row["transferId"] for row in rows}) == len(rows) > len({row["roundId"] for row in rows})
    both = [client.betlogs(START, END, source=n).json()["data"] for n in ("1", "2")]
    assert sorted(r["transferId"] for rows in both for r in rows) == sorted(
        r["transferId"] for r in client.betlogs(START, END).json()["data"]
    )


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (START, START + 10 * MINUTE + 1, 11),
        (START, START, 11),
        (END, START, 11),
        (NOW - MINUTE, NOW, 0),
        (NOW - MINUTE, NOW + 1, 11),
        (NOW - 40 * DAY, NOW - 40 * DAY + MINUTE, 0),
        (NOW - 40 * DAY - 1, NOW - 40 * DAY + MINUTE, 11),
        ("2026-03-10 03:00:00", END, 11),
        ("2026-03-10T03:00:00+00:00", END, 11),
        ("2026-02-30T03:00:00Z", END, 11),
        (None, END, 11),
        (1.5, END, 11),
    ],
)
def test_windows(client: Client, start: object, end: object, code: int) -> None:
    response = client.betlogs(start, end)
    assert (response.status_code, response.json()["code"]) == (200, code)


@pytest.mark.parametrize("source", [None, 0, "all", "-1"])
def test_bet_source_must_be_a_code(client: Client, source: object) -> None:
    assert client.betlogs(START, END, source=source).json()["code"] == 11


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        ({"timestamp": "soon"}, 11),
        ({"timestamp": 0}, 83),
        ({"nonce": "short"}, 11),
        ({"nonce": "G" * 32}, 11),
        ({"signature": "0" * 64}, 83),
        ({"cipher_text": "AAAA"}, 84),
        ({"api_key": "ab" * 32}, 84),
        ({"payload": ["not", "an", "object"]}, 84),
    ],
)
def test_seals(client: Client, bend: dict[str, object], code: int) -> None:
    assert client.betlogs(START, END, **bend).json()["code"] == code
    assert client.auth(**bend).json()["code"] == code


@pytest.mark.parametrize(("age", "code"), [(4.9, 0), (5.1, 83), (-5.1, 83)])
def test_timestamps_are_valid_five_minutes(client: Client, age: float, code: int) -> None:
    assert client.betlogs(START, END, timestamp=wall() - int(age * MINUTE)).json()["code"] == code


def test_a_nonce_and_an_iv_serve_once(client: Client) -> None:
    nonce, iv = "ab" * 16, b"only once ok"
    assert client.betlogs(START, END, nonce=nonce).json()["code"] == 0
    assert client.betlogs(START, END, nonce=nonce).json()["code"] == 83
    assert client.auth(nonce=nonce).json()["code"] == 83
    assert client.betlogs(START, END, iv=iv).json()["code"] == 0
    assert client.betlogs(START, END, iv=iv).json()["code"] == 84


def test_bodies_without_cipher_text(client: Client) -> None:
    headers, _ = client.sealed({})
    for body in (b"", b"[]", b'{"cipherText":5}', b"\xff"):
        assert client.post("/v2/auth", data=body, headers=headers).json()["code"] == 11


def test_auth(client: Client) -> None:
    body = client.auth().json()
    assert body["code"] == 0
    assert (body["data"]["expiresIn"], body["data"]["tokenType"]) == (3600, "Bearer")
    assert client.auth(agent="nobody").json()["code"] == 10
    assert client.auth(payload={"agentId": VERTEXPLAY.agent_id, "secret": "wrong"}).json()["code"] == 10
    assert client.auth(payload={"agentId": "nobody", "secret": VERTEXPLAY.secret}).json()["code"] == 10


def test_unknown_tokens_get_401(client: Client) -> None:
    for token in ("x", "a.b.c", client.token() + "x"):
        assert client.betlogs(START, END, token=token).status_code == 401
    headers, body = client.sealed({})
    assert client.post("/v2/betlogs", json=body, headers=headers).status_code == 401


class _Hands:
    """A wall clock turned by hand."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return wall() + self.ahead


@pytest.fixture
def hands() -> _Hands:
    return _Hands()


def test_tokens_expire_by_the_wall_clock(still: simulator.SimConfig, hands: _Hands) -> None:
    with simulator.serve(replace(still, token_seconds=60), wall=hands) as server:
        client = Client(server.url)
        assert client.betlogs(START, END).json()["code"] == 0
        hands.ahead = 61 * SECOND
        assert client.betlogs(START, END).status_code == 401
        client.tokens.clear()
        assert client.auth().json()["data"]["expiresIn"] == 60
        assert client.betlogs(START, END).json()["code"] == 0


def test_a_token_of_another_agent() -> None:
    other = simulator.VertexPlayAgent(agent_id="other", secret="s", api_key="ab" * 32, bet_ids=True, row_cap=2)
    with simulator.serve(simulator.SimConfig(agents=(VERTEXPLAY, other), quota_scale=0, now=NOW)) as server:
        client = Client(server.url)
        bend = {"agent": "other", "api_key": other.api_key}
        assert client.betlogs(START, END, **bend).status_code == 401
        payload = {"agentId": "other", "secret": "s"}
        token = client.auth(payload=payload, **bend).json()["data"]["accessToken"]
        rows = client.betlogs(START, END, token=token, **bend).json()["data"]
        assert len(rows) == 2
        assert all(len(row["betId"]) == 19 for row in rows)


def test_the_other_signature() -> None:
    agent = replace(VERTEXPLAY, signature="concat")
    with simulator.serve(simulator.SimConfig(agents=(agent,), quota_scale=0, now=NOW)) as server:
        own = Client(server.url)
        assert own.auth().json()["code"] == 83
        headers, body = own.sealed({"agentId": agent.agent_id, "secret": agent.secret})
        sent = json.dumps(body, separators=(",", ":"))
        headers["x-signature"] = crypto.vertexplay_signature(
            agent_id=agent.agent_id,
            timestamp=headers["x-timestamp"],
            nonce=headers["x-nonce"],
            signed=sent,
            mode="concat",
        )
        assert own.post("/v2/auth", data=sent, headers=headers).json()["code"] == 0
