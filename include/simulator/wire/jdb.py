"""JDB: Action 42, the daily reconciliation report.

Request, availability and reach: provider document 'Action 42'. A report of date D is served from 13 hours
after D+1 00:00 in UTC+8 on (the day ends at noon, and "one hour later for completeness"). Error codes as in
the provider's appendix 'Error codes'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from simulator.agents import JdbAgent
from simulator.config import SimConfig
from simulator.crypto import CryptoError, jdb_decrypt
from simulator.wire.base import (
    Admitted,
    Answer,
    Asked,
    Endpoint,
    Received,
    Refused,
    Shape,
    json_answer,
    json_object,
    query_params,
)
from simulator.world import World
from simulator.world.chance import CHINA_OFFSET, DAY, HOUR, SECOND
from simulator.world.jdb import noon

CIPHER_VALID = 30 * SECOND
REACH_DAYS = 90
AVAILABLE_AFTER = 13 * HOUR
_DATE = re.compile(r"\d\d-\d\d-\d{4}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TEXTS = {
    "7001": "The parent ID cannot be found.",
    "8001": "The parameter cannot be empty.",
    "8005": "Date/second format error.",
    "8006": "The time does not meet.",
    "8007": "The parameter can only use numbers.",
    "8009": "Time interval exceeds the allowable range.",
    "9001": "No authorized to access.",
    "9002": "Domain name is null or the length of domain name is less than 2.",
    "9003": "Domain name is not allowed.",
    "9004": "The encrypted data is null or the length of the encrypted data is equal to 0.",
    "9005": "Assertion(SAML) didn't pass the timestamp validation.",
    "9006": "Failed to extract the SAML parameters from the encrypted data.",
    "9007": "Unknown action.",
    "9019": "Request rate limit exceeded.",
}


def error(status: str) -> Answer:
    """A business error: HTTP 200 with its status and text."""
    return json_answer({"status": status, "err_text": TEXTS[status]})


def _date(text: str) -> date | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%d-%m-%Y").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _outdated(payload: Mapping[str, Any], received: Received) -> bool:
    stamp = payload.get("ts")
    return type(stamp) is not int or abs(received.wall - stamp) > CIPHER_VALID


def newest_date(now: int) -> date:
    """The newest report date served at world time `now` (ms)."""
    moment = _EPOCH + timedelta(milliseconds=now + CHINA_OFFSET - AVAILABLE_AFTER)
    return moment.date() - timedelta(days=1)


def oldest_date(now: int) -> date:
    """The oldest report date served at world time `now` (ms): 90 days before today in UTC+8."""
    return (_EPOCH + timedelta(milliseconds=now + CHINA_OFFSET)).date() - timedelta(days=REACH_DAYS)


class Daily(Endpoint):
    """GET /apiRequest.do: one report date and game type of one parent."""

    provider = "jdb"
    name = "daily"
    method = "GET"
    path = "/apiRequest.do"
    shape = Shape(rows_at=("data",), id="uid", amount="bet")

    def __init__(self, config: SimConfig, world: World) -> None:
        self._worlds = world.jdb

    def _opened(self, agents: list[JdbAgent], x: str) -> tuple[JdbAgent, dict[str, Any]]:
        """Parents of one domain may have keys of their own: the one that opens the text is meant."""
        for agent in agents:
            try:
                text = jdb_decrypt(x, key=agent.aes_key, iv=agent.iv, padding=agent.padding)
            except CryptoError:
                continue
            # What is left behind the object is another padding than the agreed one.
            payload = json_object(text) if text.endswith("}") else None
            if payload is not None:
                named = next((one for one in agents if one.agent_id == payload.get("parent")), agent)
                return named, payload
        raise Refused(error("9006"))

    def identify(self, received: Received) -> Admitted:
        params = query_params(received.query)
        if params is None:
            raise Refused(error("9006"))
        dc = params.get("dc", "")
        if len(dc) < 2:
            raise Refused(error("9002"))
        agents = [world.agent for world in self._worlds.values() if world.agent.dc == dc]
        if not agents:
            raise Refused(error("9003"))
        if "x" not in params:
            raise Refused(error("9004"))
        agent, payload = self._opened(agents, params["x"])
        if _outdated(payload, received):
            raise Refused(error("9005"), agent_id=agent.agent_id)
        if payload.get("action") != 42:
            raise Refused(error("9007"), agent_id=agent.agent_id)
        if payload.get("parent") != agent.agent_id:
            raise Refused(error("7001"))
        return Admitted(agent_id=agent.agent_id, values=payload)

    def throttled(self) -> Answer:
        return error("9019")

    def outdated(self, admitted: Admitted, received: Received) -> Answer | None:
        return error("9005") if _outdated(admitted.values, received) else None

    def _report(self, admitted: Admitted, received: Received) -> tuple[date, str]:
        g_type, text = admitted.values.get("gType"), admitted.values.get("date")
        if g_type in (None, "") or text in (None, ""):
            raise Refused(error("8001"))
        # The table says Integer, the example sends text: both are taken.
        number = str(g_type) if type(g_type) in (int, str) else ""
        if not (number.isascii() and number.isdigit()):
            raise Refused(error("8007"))
        day = _date(text) if isinstance(text, str) else None
        if day is None:
            raise Refused(error("8005"))
        if day > newest_date(received.now):
            raise Refused(error("8006"))
        if day < oldest_date(received.now):
            raise Refused(error("8009"))
        return day, number

    def asked(self, admitted: Admitted, received: Received) -> Asked:
        day, g_type = self._report(admitted, received)
        return Asked(start=noon(day), end=noon(day) + DAY, g_type=g_type)

    def answer(self, admitted: Admitted, received: Received) -> Answer:
        day, g_type = self._report(admitted, received)
        rows = self._worlds[admitted.agent_id].report(day, g_type, as_of=received.now)
        return json_answer({"status": "0000", "data": rows})
