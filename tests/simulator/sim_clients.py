"""A plain caller of all four providers, for tests: everything it sends can be bent."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import requests

from simulator import DEFAULT_AGENTS, HotRoadAgent, JdbAgent, LuckoAgent, VertexPlayAgent, crypto

NOW = 1_773_146_096_789  # 2026-03-10T12:34:56.789Z
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
TODAY = NOW // DAY * DAY
LUCKO = next(agent for agent in DEFAULT_AGENTS if isinstance(agent, LuckoAgent))
HOTROAD = next(agent for agent in DEFAULT_AGENTS if isinstance(agent, HotRoadAgent))
JDB = next(agent for agent in DEFAULT_AGENTS if isinstance(agent, JdbAgent))
VERTEXPLAY = next(agent for agent in DEFAULT_AGENTS if isinstance(agent, VertexPlayAgent))
SMALL = (replace(LUCKO, users=30, bets_per_hour=20), HOTROAD, JDB, VERTEXPLAY)
BETS, REBATES = "/api/game/transaction/query", "/api/promo/rebate/bill"


def wall() -> int:
    """Wall-clock Unix ms."""
    return time.time_ns() // 1_000_000


def iso(instant: int) -> str:
    """An instant (ms) as VertexPlay wants it."""
    moment = datetime.fromtimestamp(instant // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant % 1000:03d}Z"


def hour_text(instant: int) -> str:
    """An instant (ms) as HotRoad wants it."""
    return datetime.fromtimestamp((instant + 8 * HOUR) // 1000, UTC).strftime("%Y-%m-%dT%H+0800")


@dataclass
class Client:
    """Calls one server; one HTTP session, explicit timeouts."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)
    tokens: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=20, **kwargs)

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=20, **kwargs)

    # ------------------------------------------------------------ Lucko

    def lucko(self, path: str, params: Mapping[str, object], *, key: str = LUCKO.sign_key) -> dict[str, Any]:
        """A signed Lucko call; `timestamp` and `agent_id` are filled in unless given, None leaves one out."""
        full = {"agent_id": LUCKO.agent_id, "timestamp": wall(), **params}
        texts = {name: str(value) for name, value in full.items() if value is not None}
        texts.setdefault("sign", crypto.lucko_sign(texts, key=key))
        return self.lucko_raw(path, urlencode(texts))

    def lucko_raw(self, path: str, query: str) -> dict[str, Any]:
        """A Lucko call with exactly this query."""
        response = self.get(f"{path}?{query}")
        assert response.status_code == 200
        answer: dict[str, Any] = response.json()
        return answer

    def bets(self, start: int, end: int, **params: object) -> dict[str, Any]:
        fixed = {"start_time": start, "end_time": end, "start_index": 0, "page_size": 5000}
        return self.lucko(BETS, fixed | params)

    def rebates(self, start: int | None, end: int | None, **params: object) -> dict[str, Any]:
        fixed = {"time_start": start, "time_end": end, "start": 0, "count": 3000}
        return self.lucko(REBATES, fixed | params)

    # ------------------------------------------------------------ HotRoad

    def summary(self, start: object, end: object, *, auth: Any = None, **extra: object) -> requests.Response:
        def text(value: object) -> object:
            return hour_text(value) if isinstance(value, int) else value

        body = {"agentId": HOTROAD.agent_id, "startTimeHr": text(start), "endTimeHr": text(end)} | extra
        return self.post("/api/get_transactions_summary", json=body, auth=auth or (HOTROAD.username, HOTROAD.password))

    # ------------------------------------------------------------ JDB

    def daily(self, date: object, g_type: object = "0", **bend: Any) -> dict[str, Any]:
        """Action 42; `bend` replaces payload fields, or `dc`, `x`, `key`, `padding` of the envelope."""
        envelope: dict[str, Any] = {"dc": JDB.dc, "key": JDB.aes_key, "padding": "space", "x": None}
        envelope |= {name: bend.pop(name) for name in list(bend) if name in envelope}
        payload = {"action": 42, "ts": wall(), "parent": JDB.agent_id, "gType": g_type, "date": date} | bend
        text = json.dumps({name: value for name, value in payload.items() if value is not None})
        x = envelope["x"]
        if x is None:
            x = crypto.jdb_encrypt(text, key=envelope["key"], iv=JDB.iv, padding=envelope["padding"])
        answer: dict[str, Any] = self.get(f"/apiRequest.do?{urlencode({'dc': envelope['dc'], 'x': x})}").json()
        return answer

    # ------------------------------------------------------------ VertexPlay

    def sealed(self, payload: object, **bend: Any) -> tuple[dict[str, str], dict[str, object]]:
        """Headers and body of a VertexPlay call; `bend` replaces what goes into them."""
        agent = bend.get("agent", VERTEXPLAY.agent_id)
        timestamp = str(bend.get("timestamp", wall()))
        nonce = bend.get("nonce", os.urandom(16).hex())
        cipher_text = bend.get("cipher_text") or crypto.vertexplay_encrypt(
            json.dumps(payload), key_hex=bend.get("api_key", VERTEXPLAY.api_key), iv=bend.get("iv", os.urandom(12))
        )
        signature = bend.get("signature") or crypto.vertexplay_signature(
            agent_id=agent, timestamp=timestamp, nonce=nonce, signed=cipher_text
        )
        headers = {
            "x-agentid": agent,
            "x-timestamp": timestamp,
            "x-nonce": nonce,
            "x-signature": signature,
        }
        return headers, {"cipherText": cipher_text}

    def auth(self, **bend: Any) -> requests.Response:
        payload = bend.pop("payload", {"agentId": VERTEXPLAY.agent_id, "secret": VERTEXPLAY.secret})
        headers, body = self.sealed(payload, **bend)
        return self.post("/v2/auth", json=body, headers=headers)

    def token(self) -> str:
        """A token, fetched once."""
        if "token" not in self.tokens:
            self.tokens["token"] = self.auth().json()["data"]["accessToken"]
        return self.tokens["token"]

    def betlogs(self, start: object, end: object, *, source: object = "0", **bend: Any) -> requests.Response:
        def text(value: object) -> object:
            return iso(value) if isinstance(value, int) else value

        payload = bend.pop("payload", {"startDate": text(start), "endDate": text(end), "betSourceId": source})
        token = bend.pop("token", None) or self.token()
        headers, body = self.sealed(payload, **bend)
        return self.post("/v2/betlogs", json=body, headers=headers | {"Authorization": f"Bearer {token}"})

    # ------------------------------------------------------------ control

    def sim(self, path: str, **params: object) -> Any:
        response = self.get(f"/_sim/{path}", params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def fault(self, **spec: object) -> int:
        response = self.post("/_sim/faults", json=spec)
        assert response.status_code == 200, response.text
        number: int = response.json()["id"]
        return number


def basic(text: str) -> dict[str, str]:
    """An Authorization header from raw text."""
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
