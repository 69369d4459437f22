"""VertexPlay: bet logs (``POST /v2/betlogs``) behind a token (``POST /v2/auth``).

Bodies are encrypted: ``b64(IV 12 bytes) + b64(tag 16 bytes) + b64(ciphertext)``, three parts encoded one by one,
AES-256-GCM, key = the 64-hex API key. ``x-signature`` = SHA-256 hex of ``agentId|timestamp|nonce|cipherText``.
At most ten minutes a query, 40 days back, one call per three seconds, no paging. Answers are plain JSON.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import requests
from Crypto.Cipher import AES

from tieout.core.clock import Clock, epoch_ms
from tieout.core.contract import ABSENT, Ident, Int32, Row, ZonedInstant
from tieout.core.contract import Code as CodeText
from tieout.core.envelope import decode_data, decode_envelope
from tieout.core.errors import ConfigError, FatalError, Throttled
from tieout.core.feed import FeedSpec, Page, whole_windows
from tieout.core.http import NotAuthorised
from tieout.core.redaction import without_frames
from tieout.core.slices import Window
from tieout.core.tables import staging
from tieout.providers.base import (
    BAD_REQUEST,
    THROTTLED,
    Code,
    ErrorTable,
    ProviderHook,
    compact_json,
    protect,
    signature_refused,
)

log = logging.getLogger(__name__)

SUCCESS = 0
TEN_MINUTES = timedelta(minutes=10)
AUTH_ENDPOINT = "/v2/auth"
#: A token is renewed this long before it ends, so that it cannot end between signing and arrival.
EARLY = timedelta(minutes=2)
IV_BYTES = 12
TAG_BYTES = 16
SIGNATURE_FORMS = ("pipe", "concat_body")

ERRORS = ErrorTable(
    "VertexPlay",
    {
        "10": Code(
            error=FatalError, meaning="the agent was refused", advice="Check login (agentId) and password (secret)."
        ),
        "11": BAD_REQUEST,
        "77": THROTTLED,
        "83": signature_refused("login, api_key and signature_form"),
        "84": Code(error=FatalError, meaning="encryption not accepted", advice="Check api_key in the connection."),
    },
)


class BetLog(Row, frozen=True, rename="camel"):
    """A bet ('response fields'). Amounts are strings of six decimals; 19-digit ids stay text."""

    bet_time: ZonedInstant
    tx_time: ZonedInstant
    currency: Ident
    game_code: Ident
    username: Ident
    round_id: Ident
    transfer_id: Ident
    bet_status: Int32
    actual_bet_amt: Decimal
    valid_bet_amt: Decimal
    win_amt: Decimal
    jackpot_win: Decimal | None = None
    jackpot_contribute: Decimal | None = None
    brand: CodeText | None = None
    bet_source_id: Int32 | None = None
    bet_id: Ident | None = None


class _Envelope(msgspec.Struct):
    code: int | str
    message: msgspec.Raw = ABSENT
    data: msgspec.Raw = ABSENT


def read_betlogs(body: bytes) -> Page:
    """Return the rows of one answer, raw. Raises the error of its code."""
    return Page(total=None, rows=decode_data(_data_of(body), list[msgspec.Raw], "VertexPlay"))


def _data_of(body: bytes) -> msgspec.Raw:
    envelope: _Envelope = decode_envelope(body, _Envelope, "VertexPlay")
    if str(envelope.code) != str(SUCCESS):
        raise ERRORS.error(envelope.code, envelope.message)
    return envelope.data


def bet_key(row: BetLog) -> tuple[str]:
    """Return the row's key: its betId when there is one, else its transferId (roundId is not unique)."""
    return (f"bet:{row.bet_id}" if row.bet_id else f"transfer:{row.transfer_id}",)


#: Rows that carry a betId supersede what is stored for the same transferId without one, and never the reverse.
_SUPERSEDE = (
    """DELETE FROM staging.vertexplay_betlogs t USING incoming i
       WHERE t.agent = %(agent)s AND t.bet_id IS NULL AND i.bet_id IS NOT NULL AND t.transfer_id = i.transfer_id""",
    """DELETE FROM incoming i USING incoming n
       WHERE i.bet_id IS NULL AND n.bet_id IS NOT NULL AND n.transfer_id = i.transfer_id""",
    """DELETE FROM incoming i USING staging.vertexplay_betlogs t
       WHERE i.bet_id IS NULL AND t.agent = %(agent)s AND t.bet_id IS NOT NULL AND t.transfer_id = i.transfer_id""",
)

BETLOGS = FeedSpec(
    provider="vertexplay",
    name="betlogs",
    title="VertexPlay's bet logs",
    document="Query bet logs (POST /v2/betlogs)",
    endpoint="/v2/betlogs",
    interval=timedelta(seconds=3),
    reach=timedelta(days=40),
    lag=timedelta(minutes=2),
    max_window=TEN_MINUTES,
    slice_width=timedelta(hours=1),
    # No cap is documented; an answer this long is not trusted to be whole.
    row_cap=5000,
    row=BetLog,
    table=staging.vertexplay_betlogs,
    key=("bet_key",),
    immutable=("bet_time", "username", "game_code", "currency"),
    position="{row}.bet_time",
    windows=whole_windows(TEN_MINUTES),
    read_page=read_betlogs,
    derived_columns=("bet_key",),
    derive=bet_key,
    before_merge=_SUPERSEDE,
    revisits=(timedelta(hours=1), timedelta(hours=24)),
    tags=("bets",),
)

FEEDS = (BETLOGS,)


def parse_api_key(text: str) -> bytes:
    """Return the 32 bytes of a 64-hex API key. Raises ConfigError otherwise."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError("VertexPlay's api_key must be 64 hexadecimal digits.")
    return key


def encrypt(plaintext: bytes, *, key: bytes, iv: bytes) -> str:
    """Return the cipherText of *plaintext* under a fresh 12-byte *iv*; never use an IV twice."""
    cipher = AES.new(key, AES.MODE_GCM, nonce=iv, mac_len=TAG_BYTES)
    ciphertext, tag = cipher.encrypt_and_digest(plaintext)
    return "".join(base64.b64encode(part).decode() for part in (iv, tag, ciphertext))


def signature(*, agent_id: str, timestamp: str, nonce: str, cipher_text: str, form: str = "pipe") -> str:
    """Return ``x-signature``; *form* ``concat_body`` is the transfer-wallet pages' form without separators."""
    if form == "pipe":
        text = f"{agent_id}|{timestamp}|{nonce}|{cipher_text}"
    else:
        body = compact_json({"cipherText": cipher_text})
        text = f"{agent_id}{timestamp}{nonce}{body}"
    return hashlib.sha256(text.encode()).hexdigest()


class VertexPlayAuth(requests.auth.AuthBase):
    """Encrypts the JSON body and signs the request at the moment it is sent; adds the token except to /v2/auth."""

    def __init__(
        self,
        *,
        agent_id: str,
        api_key: bytes,
        form: str,
        clock: Clock,
        token: Callable[[], str],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._agent_id = agent_id
        self._api_key = api_key
        self._form = form
        self._clock = clock
        self._token = token
        self._random_bytes = random_bytes

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        plaintext = request.body if isinstance(request.body, bytes) else str(request.body or "{}").encode()
        cipher_text = encrypt(plaintext, key=self._api_key, iv=self._random_bytes(IV_BYTES))
        # The nonce header is not the IV; both are fresh for every call.
        nonce = self._random_bytes(16).hex()
        timestamp = str(epoch_ms(self._clock.now()))
        request.prepare_body(compact_json({"cipherText": cipher_text}).encode(), None)
        request.headers["Content-Type"] = "application/json"
        request.headers["x-agentid"] = self._agent_id
        request.headers["x-timestamp"] = timestamp
        request.headers["x-nonce"] = nonce
        request.headers["x-signature"] = signature(
            agent_id=self._agent_id, timestamp=timestamp, nonce=nonce, cipher_text=cipher_text, form=self._form
        )
        if not urlsplit(str(request.url)).path.endswith(AUTH_ENDPOINT):
            request.headers["Authorization"] = f"Bearer {self._token()}"
        return request


class Token(msgspec.Struct, rename={"text": "accessToken", "expires_in": "expiresIn"}, frozen=True):
    """A bearer token and the seconds it lives ('POST /v2/auth'). Its repr shows no token."""

    text: str
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=10**9)]

    def __repr__(self) -> str:
        return f"Token(expires_in={self.expires_in})"


def read_token(body: bytes) -> Token:
    """Return the token of one answer. Raises the error of its code."""
    token: Token = decode_data(_data_of(body), Token, "VertexPlay")
    return token


class VertexPlayHook(ProviderHook):
    """Connection type ``vertexplay``: host, login = agentId, password = secret, extra ``api_key``, ``signature_form``.

    The token lives in this process only, is renewed early, and once more when a call is answered 401 or 403.
    """

    conn_type = "vertexplay"
    hook_name = "VertexPlay"
    default_conn_name = "vertexplay_default"

    _token: str | None = None
    _token_ends: datetime | None = None

    @property
    def merchant_id(self) -> str:
        return self.identifier("login (agentId)", self.connection.login)

    def auth(self) -> VertexPlayAuth:
        form = str(self.extra.get("signature_form", "pipe"))
        if form not in SIGNATURE_FORMS:
            allowed = ", ".join(SIGNATURE_FORMS)
            raise ConfigError(f"connection {self.conn_id!r} has the signature_form {form!r}; allowed are {allowed}.")
        return VertexPlayAuth(
            agent_id=self.merchant_id,
            api_key=parse_api_key(self.required("extra field api_key", self.extra.get("api_key"))),
            form=form,
            clock=self.clock,
            token=lambda: self._token or "",
        )

    def request(self, feed: FeedSpec, window: Window, offset: int) -> requests.Request:
        payload = {
            "startDate": instant_text(window.range.start),
            "endDate": instant_text(window.range.end),
            "betSourceId": "0",
        }
        return requests.Request("POST", f"{self.url}{feed.endpoint}", data=compact_json(payload).encode())

    def prepare(self, feed: FeedSpec, window: Window, offset: int) -> None:
        # A token asked for before a slot is taken costs a slot of /v2/auth only.
        super().prepare(feed, window, offset)
        if self._ensure_token():
            super().prepare(feed, window, offset)

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        self._renew_token(feed)
        try:
            return super().fetch(feed, window, offset)
        except NotAuthorised:
            log.info("VertexPlay no longer accepts the token; asking for a new one")
            self._token = None
            self._renew_token(feed)
            return super().fetch(feed, window, offset)

    def _renew_token(self, feed: FeedSpec) -> None:
        # Asking for a token takes time: the instant reserved for the call has passed, so it needs a new one.
        if self._ensure_token():
            self.wait_for(feed.endpoint)

    def _ensure_token(self) -> bool:
        """Ask for a token unless one is held and good for a while; return whether it was asked for."""
        now = self.clock.now()
        if self._token is not None and self._token_ends is not None and now < self._token_ends:
            return False
        self.wait_for(AUTH_ENDPOINT)
        try:
            with without_frames():
                token = read_token(self.send(self._token_request()))
        except Throttled as error:
            error.endpoint = AUTH_ENDPOINT
            raise
        protect(token.text)
        now = self.clock.now()
        ends = now + timedelta(seconds=token.expires_in)
        lifetime = min(ends, jwt_expiry(token.text) or ends) - now
        self._token = token.text
        self._token_ends = now + max(lifetime - EARLY, lifetime / 2)
        return True

    def _token_request(self) -> requests.Request:
        secret = self.required("password (secret)", self.connection.password)
        payload = compact_json({"agentId": self.merchant_id, "secret": secret}).encode()
        return requests.Request("POST", f"{self.url}{AUTH_ENDPOINT}", data=payload)

    def secrets(self) -> tuple[str | bytes, ...]:
        try:
            key = bytes.fromhex(str(self.extra.get("api_key", "")))
        except ValueError:
            key = b""
        return (*super().secrets(), key)

    def probe(self) -> bytes:
        self._ensure_token()
        return b""

    def read_probe(self, body: bytes) -> None:
        """A token was issued: agent, secret and key are right."""


def instant_text(instant: datetime) -> str:
    """Return ``2026-01-21T07:20:00.000Z``."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def jwt_expiry(token: str) -> datetime | None:
    """Return when a JWT expires (its ``exp``, unverified: it only decides when to renew), or None."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None
