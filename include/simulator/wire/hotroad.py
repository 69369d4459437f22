"""HotRoad: transactions summary per game.

Fields and limits: provider document 'Get Transactions Summary', sections 'Restrict' and 'Request Parameters'.
Times are exactly yyyy-MM-dd'T'HH+0800 (18 characters, as the document's example; its "28 characters" cannot
fit that format).
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta

from simulator.agents import HotRoadAgent
from simulator.config import SimConfig
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
)
from simulator.world import World
from simulator.world.chance import CHINA_OFFSET, DAY, HOUR

REACH = 40 * DAY
LONGEST = DAY
_HOUR_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d\+0800", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The provider's table of status codes (5.4) is not public. All but "0000" are this simulator's own.
SUCCESS = "0000"
PARAMETER, UNKNOWN_AGENT, UNAUTHORISED, TOO_FREQUENT = "1001", "1002", "1003", "1004"
TIME_RANGE, OUT_OF_REACH, NOT_INTEGRATED = "1005", "1006", "1007"
CODES = {
    PARAMETER: "parameter error",
    UNKNOWN_AGENT: "agent does not exist",
    UNAUTHORISED: "not authorised",
    TOO_FREQUENT: "request interval too short",
    TIME_RANGE: "time interval empty or longer than 24 hours",
    OUT_OF_REACH: "older than 40 days",
    NOT_INTEGRATED: "not integrated yet, try one hour later",
}


def error(code: str, *, status: int = 200) -> Answer:
    """A business error, with HTTP 200 except for a missing or wrong Authorization (401)."""
    return json_answer({"code": code, "message": CODES[code]}, status=status)


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def _hour(value: object) -> int | None:
    """The instant (ms) of an hour text, None when the format is another."""
    if not isinstance(value, str) or not _HOUR_TEXT.fullmatch(value):
        return None
    try:
        moment = datetime.strptime(value[:13], "%Y-%m-%dT%H").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1) - CHINA_OFFSET


class Summary(Endpoint):
    """POST /api/get_transactions_summary: totals of bets placed in [startTimeHr, endTimeHr)."""

    provider = "hotroad"
    name = "summary"
    method = "POST"
    path = "/api/get_transactions_summary"
    shape = Shape(rows_at=("data", "list"), id="gameCode", amount="betAmount")

    def __init__(self, config: SimConfig, world: World) -> None:
        self._worlds = world.hotroad

    def _known(self, credentials: tuple[str, str] | None) -> list[HotRoadAgent]:
        agents = (world.agent for world in self._worlds.values())
        return [agent for agent in agents if (agent.username, agent.password) == credentials]

    def identify(self, received: Received) -> Admitted:
        mine = self._known(_basic(received.headers.get("authorization", "")))
        if not mine:
            raise Refused(error(UNAUTHORISED, status=401))
        body = json_object(received.body)
        agent_id = body.get("agentId") if body else None
        if body is None or not isinstance(agent_id, str):
            raise Refused(error(PARAMETER))
        if agent_id not in self._worlds:
            raise Refused(error(UNKNOWN_AGENT))
        if agent_id not in [agent.agent_id for agent in mine]:
            raise Refused(error(UNAUTHORISED), agent_id=agent_id)
        return Admitted(agent_id=agent_id, values=body)

    def throttled(self) -> Answer:
        return error(TOO_FREQUENT)

    def asked(self, admitted: Admitted, received: Received) -> Asked:
        body = admitted.values
        start, end = _hour(body.get("startTimeHr")), _hour(body.get("endTimeHr"))
        if start is None or end is None:
            raise Refused(error(PARAMETER))
        if not 0 < end - start <= LONGEST:
            raise Refused(error(TIME_RANGE))
        if end > (received.now - HOUR) // HOUR * HOUR:
            raise Refused(error(NOT_INTEGRATED))
        if start < received.now - REACH:
            raise Refused(error(OUT_OF_REACH))
        return Asked(start=start, end=end)

    def answer(self, admitted: Admitted, received: Received) -> Answer:
        filters = {name: admitted.values.get(name, "") for name in ("gameType", "gameCode")}
        fits = all(
            isinstance(value, str) and len(value) <= most
            for value, most in zip(filters.values(), (10, 20), strict=True)
        )
        if not fits:
            raise Refused(error(PARAMETER))
        asked = self.asked(admitted, received)
        rows = self._worlds[admitted.agent_id].summary(asked.start, asked.end, as_of=received.now)
        wanted = {name: value for name, value in filters.items() if value}
        rows = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        return json_answer({"code": SUCCESS, "data": {"list": rows}})
