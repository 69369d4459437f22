"""VertexPlay: tokens and bet logs.

Provider document bet logs (`POST /v2/betlogs`): headers, encrypted body, codes 11 and 77, notes on windows
and reach. Signature, cipher and token as on the provider's pages on encryption and authentication (codes 10,
83, 84). Bounds are read as [startDate, endDate), which the document leaves open.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from cryptography.hazmat.primitives import hashes

from simulator.agents import VertexPlayAgent
from simulator.config import SimConfig
from simulator.crypto import (
    CryptoError,
    digest,
    jwt_decode,
    jwt_encode,
    vertexplay_decrypt,
    vertexplay_signature,
)
from simulator.ledger import OnceOnly
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
    whole,
)
from simulator.world import World
from simulator.world.chance import DAY, MINUTE

TIMESTAMP_VALID = 5 * MINUTE
REACH = 40 * DAY
LONGEST = 10 * MINUTE
_NONCE = re.compile(r"[0-9a-f]{32}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MESSAGES = {
    10: "Agent error",
    11: "Parameters error",
    77: "Too many request, please try again later",
    83: "Signature error",
    84: "Encryption error",
}


def _outdated(stamp: int, wall: int) -> bool:
    return abs(wall - stamp) > TIMESTAMP_VALID


def _log_id(*label: object) -> str:
    """A logUUID that repeats for the same request, so that equal worlds give equal bytes."""
    seed = digest(hashes.SHA256(), "|".join(map(str, label)).encode())
    return str(uuid.UUID(bytes=seed[:16], version=4))


def error(code: int, *, nonce: str = "") -> Answer:
    """A business error: HTTP 200 with its code and message."""
    return json_answer({"code": code, "message": MESSAGES[code], "logUUID": _log_id(code, nonce)})


def unauthorized() -> Answer:
    """The answer to a missing, unknown or expired token: HTTP 401."""
    return json_answer({"code": 401, "message": "Unauthorized", "logUUID": _log_id(401)}, status=401)


def _instant(value: object) -> int | None:
    """The ms of an ISO 8601 instant in UTC (seconds, optionally milliseconds, and Z), else None."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


class Tokens:
    """Bearer tokens (JWT, HS256) by agent: issued, verified, revoked; ages are wall clock."""

    def __init__(self, config: SimConfig) -> None:
        self.expires_in = config.token_seconds
        self._key = digest(hashes.SHA256(), f"token key {config.seed}".encode())
        self._numbers = count(1)
        self._revoked: set[str] = set()

    def issue(self, agent_id: str, *, wall: int) -> str:
        """A new token for `agent_id`."""
        issued = wall // 1000
        jti = _log_id("token", agent_id, wall, next(self._numbers))
        claims = {"sub": agent_id, "iat": issued, "exp": issued + self.expires_in, "jti": jti}
        return jwt_encode(claims, key=self._key)

    def valid(self, header: str, *, agent_id: str, wall: int) -> bool:
        """True for `Bearer <token>` of this agent that is neither expired nor revoked."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or token in self._revoked:
            return False
        try:
            claims = jwt_decode(token, key=self._key)
        except CryptoError:
            return False
        return claims.get("sub") == agent_id and wall < int(claims.get("exp", 0)) * 1000

    def revoke(self, header: str) -> None:
        """Make the token in this Authorization header unknown."""
        self._revoked.add(header.partition(" ")[2])


class Door:
    """What both endpoints check alike; single use of nonces and IVs is shared between them."""

    def __init__(self, config: SimConfig, world: World) -> None:
        self.worlds = world.vertexplay
        self.tokens = Tokens(config)
        self._nonces = OnceOnly(keep_ms=2 * TIMESTAMP_VALID)
        self._ivs = OnceOnly()

    def agent(self, received: Received) -> VertexPlayAgent:
        """The agent the header names; code 10 when unknown."""
        world = self.worlds.get(received.headers.get("x-agentid", ""))
        if world is None:
            raise Refused(error(10))
        return world.agent

    def opened(self, agent: VertexPlayAgent, received: Received) -> dict[str, Any]:
        """The decrypted request; Refused for shape (11), signature, age, replay (83), cipher (84)."""
        headers = received.headers
        nonce, timestamp = headers.get("x-nonce", ""), headers.get("x-timestamp", "")
        body = json_object(received.body)
        cipher_text = body.get("cipherText") if body else None
        stamp = whole(timestamp)
        if stamp is None or not _NONCE.fullmatch(nonce) or not isinstance(cipher_text, str):
            raise Refused(error(11, nonce=nonce), agent_id=agent.agent_id)
        code = self._seal_code(agent, received, stamp, cipher_text)
        if code is None:
            payload = self._payload(agent, cipher_text, received.wall)
            if payload is not None:
                return payload
        raise Refused(error(code or 84, nonce=nonce), agent_id=agent.agent_id)

    def _seal_code(self, agent: VertexPlayAgent, received: Received, stamp: int, cipher_text: str) -> int | None:
        headers = received.headers
        signed = cipher_text if agent.signature == "pipe" else received.body.decode(errors="replace")
        expected = vertexplay_signature(
            agent_id=agent.agent_id,
            timestamp=headers["x-timestamp"],
            nonce=headers["x-nonce"],
            signed=signed,
            mode=agent.signature,
        )
        if headers.get("x-signature", "") != expected or _outdated(stamp, received.wall):
            return 83
        fresh = self._nonces.first_use(agent.agent_id, headers["x-nonce"].encode(), at_ms=received.wall)
        return None if fresh else 83

    def _payload(self, agent: VertexPlayAgent, cipher_text: str, wall: int) -> dict[str, Any] | None:
        try:
            iv, text = vertexplay_decrypt(cipher_text, key_hex=agent.api_key)
        except CryptoError:
            return None
        # One IV twice under one key breaks GCM, so a strict server refuses it for ever.
        return json_object(text) if self._ivs.first_use(agent.api_key, iv, at_ms=wall) else None


class _VertexPlayEndpoint(Endpoint):
    provider = "vertexplay"
    method = "POST"

    def throttled(self) -> Answer:
        return error(77)

    def outdated(self, admitted: Admitted, received: Received) -> Answer | None:
        stamp, nonce = int(received.headers["x-timestamp"]), received.headers["x-nonce"]
        return error(83, nonce=nonce) if _outdated(stamp, received.wall) else None


class Auth(_VertexPlayEndpoint):
    """POST /v2/auth: a bearer token for an agent id and its secret."""

    name = "auth"
    path = "/v2/auth"

    def __init__(self, door: Door) -> None:
        self._door = door

    def identify(self, received: Received) -> Admitted:
        agent = self._door.agent(received)
        payload = self._door.opened(agent, received)
        if (payload.get("agentId"), payload.get("secret")) != (agent.agent_id, agent.secret):
            raise Refused(error(10, nonce=received.headers["x-nonce"]), agent_id=agent.agent_id)
        return Admitted(agent_id=agent.agent_id, values=payload)

    def answer(self, admitted: Admitted, received: Received) -> Answer:
        token = self._door.tokens.issue(admitted.agent_id, wall=received.wall)
        data = {"accessToken": token, "expiresIn": self._door.tokens.expires_in, "tokenType": "Bearer"}
        log_id = _log_id(0, received.headers["x-nonce"])
        return json_answer({"code": 0, "message": "No error.", "data": data, "logUUID": log_id})


class BetLogs(_VertexPlayEndpoint):
    """POST /v2/betlogs: rows with betTime in [startDate, endDate), at most the agent's `row_cap`."""

    name = "betlogs"
    path = "/v2/betlogs"
    shape = Shape(rows_at=("data",), id="transferId", amount="actualBetAmt", instant="betTime")

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def tokens(self) -> Tokens:
        """The tokens this endpoint accepts."""
        return self._door.tokens

    def identify(self, received: Received) -> Admitted:
        agent = self._door.agent(received)
        token = received.headers.get("authorization", "")
        if not self._door.tokens.valid(token, agent_id=agent.agent_id, wall=received.wall):
            raise Refused(unauthorized(), agent_id=agent.agent_id)
        return Admitted(agent_id=agent.agent_id, values=self._door.opened(agent, received))

    def asked(self, admitted: Admitted, received: Received) -> Asked:
        nonce, now = received.headers["x-nonce"], received.now
        start, end = _instant(admitted.values.get("startDate")), _instant(admitted.values.get("endDate"))
        if start is None or end is None:
            raise Refused(error(11, nonce=nonce))
        if not 0 < end - start <= LONGEST or end > now or start < now - REACH:
            raise Refused(error(11, nonce=nonce))
        return Asked(start=start, end=end)

    def answer(self, admitted: Admitted, received: Received) -> Answer:
        nonce = received.headers["x-nonce"]
        source = whole(admitted.values.get("betSourceId"))
        if source is None:
            raise Refused(error(11, nonce=nonce))
        asked = self.asked(admitted, received)
        world = self._door.worlds[admitted.agent_id]
        rows = world.encoded(asked.start, asked.end, as_of=received.now, source=source)[: world.agent.row_cap]
        return json_answer({"code": 0, "message": "No error.", "data": rows, "logUUID": _log_id(0, nonce)})
