"""A plain caller of all four providers, for tests: everything it sends can be bent."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
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
WINDOWS = {
    "lucko_bets": (TODAY - DAY + 9 * HOUR, TODAY - DAY + 12 * HOUR),
    "lucko_rebates": (TODAY, TODAY + HOUR),
    "hotroad_summary": (TODAY - DAY + 3 * HOUR, TODAY - DAY + 4 * HOUR),
    "jdb_daily": (TODAY - 2 * DAY + 4 * HOUR, TODAY - DAY + 4 * HOUR),  # 2026-03-08 12:00 in UTC+8, a day long
    "vertexplay_betlogs": (TODAY - DAY + 9 * HOUR, TODAY - DAY + 9 * HOUR + 10 * MINUTE),
}
"""A window of each feed that one call may ask for; of JDB's, game type 0."""
AGENT_IDS = {
    "lucko_bets": LUCKO.agent_id,
    "lucko_rebates": LUCKO.agent_id,
    "hotroad_summary": HOTROAD.agent_id,
    "jdb_daily": JDB.agent_id,
    "vertexplay_betlogs": VERTEXPLAY.agent_id,
}
_ROWS_AT = {
    "lucko_bets": ("data", "transactions"),
    "lucko_rebates": ("data", "list"),
    "hotroad_summary": ("data", "list"),
    "jdb_daily": ("data",),
    "vertexplay_betlogs": ("data",),
}


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


def exact(text: bytes | str) -> Any:
    """Decoded JSON whose fractions are Decimals; takes what is no JSON (NaN, half a surrogate pair), too."""
    return json.loads(text, parse_float=Decimal)


def rows_of(feed: str, body: bytes | str) -> list[Any]:
    """The rows in an answer of a feed."""
    inner = exact(body)
    for name in _ROWS_AT[feed]:
        inner = inner[name]
    assert isinstance(inner, list)
    return inner


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
        return self.lucko_raw(path, self.signed(params, key=key))

    @staticmethod
    def signed(params: Mapping[str, object], *, key: str = LUCKO.sign_key) -> str:
        """The signed query of a Lucko call."""
        full = {"agent_id": LUCKO.agent_id, "timestamp": wall(), **params}
        texts = {name: str(value) for name, value in full.items() if value is not None}
        texts.setdefault("sign", crypto.lucko_sign(texts, key=key))
        return urlencode(texts)

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

    # ------------------------------------------------------------ any feed

    def ask(self, feed: str, **kwargs: Any) -> requests.Response:
        """A right call for a feed's window in WINDOWS; `kwargs` go to the HTTP client. Redirects are not followed."""
        start, end = WINDOWS[feed]
        fixed: dict[str, Any] = {"timeout": 20, "allow_redirects": False} | kwargs
        if feed == "lucko_bets":
            query = self.signed({"start_time": start, "end_time": end, "start_index": 0, "page_size": 5000})
            return self.session.get(f"{self.url}{BETS}?{query}", **fixed)
        if feed == "lucko_rebates":
            query = self.signed({"time_start": start, "time_end": end - 1, "start": 0, "count": 3000})
            return self.session.get(f"{self.url}{REBATES}?{query}", **fixed)
        if feed == "hotroad_summary":
            body = {"agentId": HOTROAD.agent_id, "startTimeHr": hour_text(start), "endTimeHr": hour_text(end)}
            auth = (HOTROAD.username, HOTROAD.password)
            return self.session.post(f"{self.url}/api/get_transactions_summary", json=body, auth=auth, **fixed)
        if feed == "jdb_daily":
            date = datetime.fromtimestamp((start + 8 * HOUR) // 1000, UTC).strftime("%d-%m-%Y")
            text = json.dumps({"action": 42, "ts": wall(), "parent": JDB.agent_id, "gType": "0", "date": date})
            query = urlencode({"dc": JDB.dc, "x": crypto.jdb_encrypt(text, key=JDB.aes_key, iv=JDB.iv)})
            return self.session.get(f"{self.url}/apiRequest.do?{query}", **fixed)
        headers, sealed = self.sealed({"startDate": iso(start), "endDate": iso(end), "betSourceId": "0"})
        headers["Authorization"] = f"Bearer {self.token()}"
        return self.session.post(f"{self.url}/v2/betlogs", json=sealed, headers=headers, **fixed)

    def rows(self, feed: str) -> list[Any]:
        """The rows of a right answer to `ask`."""
        return rows_of(feed, self.ask(feed).content)

    def truth(self, feed: str, start: int | None = None, end: int | None = None) -> list[Any]:
        """The truth about a feed's window, by default that in WINDOWS."""
        bounds = {"from": WINDOWS[feed][0] if start is None else start, "to": WINDOWS[feed][1] if end is None else end}
        answer = self.get("/_sim/truth/rows", params={"feed": feed, "agent": AGENT_IDS[feed], **bounds})
        assert answer.status_code == 200, answer.text
        rows = exact(answer.content)
        assert isinstance(rows, list)
        return rows

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

    def fired(self, number: int) -> int:
        """How often a fault took effect."""
        [row] = [one for one in self.sim("faults")["active"] if one["id"] == number]
        assert isinstance(row["fired"], int)
        return row["fired"]

    def change(self, feed: str, **order: object) -> dict[str, Any]:
        """Change the world of a feed in its window."""
        start, end = WINDOWS[feed]
        body = {"feed": feed, "agent": AGENT_IDS[feed], "from": start, "to": end} | order
        response = self.post("/_sim/world/change", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def basic(text: str) -> dict[str, str]:
    """An Authorization header from raw text."""
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
