"""Lucko: bet records by update time and rebate records by dispatch time.

Parameters, limits and codes: provider documents 'Query Bet Records (By Time Period)' and 'Query Rebate
Records (Reconciliation Statement)'. The documents do not say which of the two parameter codes fits when; here
408000 is for parameters that are missing, repeated or out of date, 600101 for values out of range.
"""

from __future__ import annotations

from typing import Any

from simulator.config import SimConfig
from simulator.crypto import lucko_sign
from simulator.wire.base import (
    Admitted,
    Answer,
    Asked,
    Endpoint,
    Received,
    Refused,
    Shape,
    json_answer,
    query_params,
    whole,
)
from simulator.world import World
from simulator.world.chance import DAY, MINUTE

TIMESTAMP_VALID = 10 * MINUTE
REACH = 90 * DAY
MAX_BETS, MAX_REBATES = 5000, 3000
LONGEST_RANGE = 400 * DAY  # of rebates, which know no limit: a bound on the work of one call

MESSAGES = {
    408000: "Request Parameter Error",
    408003: "Whitelist Restriction",
    408004: "API Frequency Limit",
    600100: "Invalid Signature",
    600101: "Invalid Parameter",
    700101: "Merchant Does Not Exist",
    700401: "Query Time Error",
}


def error(code: int) -> Answer:
    """A business error: HTTP 200 with its code and message."""
    return json_answer({"code": code, "message": MESSAGES[code]})


class _LuckoEndpoint(Endpoint):
    provider = "lucko"
    method = "GET"
    required: tuple[str, ...]

    def __init__(self, config: SimConfig, world: World) -> None:
        self._config = config
        self._worlds = world.lucko

    def identify(self, received: Received) -> Admitted:
        params = query_params(received.query)
        if params is None or "agent_id" not in params:
            raise Refused(error(408000))
        world = self._worlds.get(params["agent_id"])
        if world is None:
            raise Refused(error(700101))
        agent = world.agent
        code = self._fault_of(params, received)
        if agent.ip_whitelist and received.client not in agent.ip_whitelist:
            code = 408003
        elif code is None and params["sign"] != lucko_sign(params, key=agent.sign_key):
            code = 600100
        if code is not None:
            raise Refused(error(code), agent_id=agent.agent_id)
        return Admitted(agent_id=agent.agent_id, values=params)

    def _fault_of(self, params: dict[str, str], received: Received) -> int | None:
        if any(name not in params for name in (*self.required, "timestamp", "sign")):
            return 408000
        stamp = whole(params["timestamp"])
        if stamp is None:
            return 600101
        return 408000 if abs(received.wall - stamp) > TIMESTAMP_VALID else None

    def outdated(self, admitted: Admitted, received: Received) -> Answer | None:
        code = self._fault_of(dict(admitted.values), received)
        return None if code is None else error(code)

    def throttled(self) -> Answer:
        return error(408004)


def _page(params: Any, start_name: str, size_name: str, most: int) -> tuple[int, int]:
    start, size = whole(params[start_name]), whole(params[size_name])
    if start is None or size is None or not 1 <= size <= most:
        raise Refused(error(600101))
    return start, size


class Bets(_LuckoEndpoint):
    """GET /api/game/transaction/query: rows whose current update_time lies in [start_time, end_time)."""

    name = "bets"
    path = "/api/game/transaction/query"
    required = ("start_time", "end_time", "start_index", "page_size")
    shape = Shape(rows_at=("data", "transactions"), id="id", amount="bet_amount", instant="bet_time")

    def asked(self, admitted: Admitted, received: Received) -> Asked:
        params, now = admitted.values, received.now
        start, end = whole(params["start_time"]), whole(params["end_time"])
        if start is None or end is None:
            raise Refused(error(600101))
        # "should be less than 1 day": a whole day is already too long.
        if not 0 < end - start < DAY or end > now or start < now - REACH:
            raise Refused(error(700401))
        return Asked(start=start, end=end)

    def answer(self, admitted: Admitted, received: Received) -> Answer:
        index, size = _page(admitted.values, "start_index", "page_size", MAX_BETS)
        asked = self.asked(admitted, received)
        world = self._worlds[admitted.agent_id]
        page = world.page(asked.start, asked.end, as_of=received.now, index=index, size=size)
        data = {"start_index": index, "page_size": size, "total": page.total, "transactions": page.rows}
        return json_answer({"code": 200, "message": "success", "data": data})


class Rebates(_LuckoEndpoint):
    """GET /api/promo/rebate/bill: rows with create_time in [time_start, time_end], both ends optional.

    Without a lower bound the list begins with the activity, else 90 days ago.
    """

    name = "rebates"
    path = "/api/promo/rebate/bill"
    required = ("start", "count")
    shape = Shape(rows_at=("data", "list"), id="id", amount="rebate_amount", instant="create_time")

    def asked(self, admitted: Admitted, received: Received) -> Asked:
        params, now = admitted.values, received.now
        bounds: list[int | None] = []
        for name in ("time_start", "time_end"):
            bounds.append(whole(params[name]) if name in params else None)
            if name in params and bounds[-1] is None:
                raise Refused(error(600101))
        begin = self._config.activity_from
        start = bounds[0] if bounds[0] is not None else (now - REACH if begin is None else begin)
        end = bounds[1] if bounds[1] is not None else max(now, start)
        if start > end:
            raise Refused(error(600101))
        end = min(end, now)
        return Asked(start=max(start, end - LONGEST_RANGE), end=end + 1)

    def answer(self, admitted: Admitted, received: Received) -> Answer:
        params = admitted.values
        index, size = _page(params, "start", "count", MAX_REBATES)
        if params.get("status", "1") not in ("0", "1"):
            raise Refused(error(600101))
        asked = self.asked(admitted, received)
        rows = self._worlds[admitted.agent_id].rebates(asked.start, asked.end, as_of=received.now)
        for name in ("activity_id", "user_id", "status"):
            if name in params:
                rows = [row for row in rows if str(row[name]) == params[name]]
        data = {"start": index, "page_size": size, "total": len(rows), "list": rows[index : index + size]}
        return json_answer({"code": 200, "message": "success", "data": data})
