"""JDB: daily totals per player ('Action 42: daily reconciliation report').

GET ``apiRequest.do?dc=..&x=..``; ``x`` is the JSON request, AES-128-CBC, key and IV as raw UTF-8, right-padded with
spaces to 16 bytes, base64url. The ciphertext is valid for 30 seconds. A report date D covers
[D 12:00, D+1 12:00) in UTC+8; the report is asked per game type and reaches back three months.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import requests
from Crypto.Cipher import AES

from tieout.core.clock import Clock, epoch_ms
from tieout.core.contract import ABSENT, Ident, Int64, Row
from tieout.core.envelope import decode_data, decode_envelope
from tieout.core.errors import ConfigError, ContractBroken, FatalError, NotReady
from tieout.core.feed import FeedOptions, FeedSpec, Page
from tieout.core.slices import Slice, Window
from tieout.core.tables import staging
from tieout.providers.base import (
    MAINTENANCE,
    PAST_REACH,
    THROTTLED,
    Code,
    ErrorTable,
    ProviderHook,
    compact_json,
)

BEIJING = timezone(timedelta(hours=8))
DAY = timedelta(days=1)
#: Noon in UTC+8, as an offset from UTC midnight.
NOON = timedelta(hours=4)
SUCCESS = "0000"
BLOCK = 16
PADDINGS = ("space", "nul", "pkcs7")

_CREDENTIALS = "Check dc, login (parent), password (key) and iv_secret of the connection."
_PARENT = Code(error=FatalError, meaning="the parent account was refused", advice=_CREDENTIALS)
_PARAMETER = Code(error=ContractBroken, meaning="a request parameter was refused")
_FATAL = Code(error=FatalError, meaning="refused", advice=_CREDENTIALS)

#: The provider's published code table.
ERRORS = ErrorTable(
    "JDB",
    {
        "9001": Code(error=FatalError, meaning="not authorised", advice=_CREDENTIALS),
        "9002": Code(error=FatalError, meaning="the domain is not complete", advice="Check dc and host."),
        "9003": Code(error=FatalError, meaning="the domain was refused", advice="Check dc and host."),
        "9004": Code(error=FatalError, meaning="an empty request was seen", advice=_CREDENTIALS),
        "9005": Code(
            error=FatalError,
            meaning="the timestamp is out of its 30 seconds",
            advice="Synchronise this machine's clock (NTP).",
        ),
        "9006": Code(error=FatalError, meaning="the request could not be decrypted", advice=_CREDENTIALS),
        "9007": Code(error=FatalError, meaning="action 42 is unknown to this address"),
        "9009": MAINTENANCE,
        "9010": MAINTENANCE,
        "9012": MAINTENANCE,
        "9013": MAINTENANCE,
        "9015": _FATAL,
        "9016": _FATAL,
        "9017": MAINTENANCE,
        "9019": THROTTLED,
        "9999": Code(error=FatalError, meaning="failed"),
        **{str(code): _PARAMETER for code in (8000, 8001, 8002, 8003, 8005, 8007, 8008, 8010, 8013, 8014)},
        "8006": Code(
            error=NotReady,
            meaning="the report of this date is not ready",
            delay=timedelta(minutes=30),
        ),
        "8009": PAST_REACH,
        **{str(code): _PARENT for code in (7001, 7002, 7003, 7004)},
    },
)


class DailyTotal(Row, frozen=True, rename="camel"):
    """Totals of one player ('Return result'). bet, validBet, jackpotContribute and tax are negative as delivered."""

    amounts_are_numbers: ClassVar[bool] = True

    uid: Ident
    bet: Decimal
    win: Decimal
    net_win: Decimal
    valid_bet: Decimal
    jackpot: Decimal | None = None
    jackpot_contribute: Decimal | None = None
    count: Int64 | None = None
    tax: Decimal | None = None  # with card games; the sample spells the key "tax "


class _Envelope(msgspec.Struct):
    status: str | int
    data: msgspec.Raw = ABSENT
    err_text: msgspec.Raw = ABSENT


def read_daily(body: bytes) -> Page:
    """Return the rows of one answer, raw. Raises the error of its code."""
    envelope: _Envelope = decode_envelope(body, _Envelope, "JDB")
    if envelope.status != SUCCESS:
        raise ERRORS.error(envelope.status, envelope.err_text)
    rows = decode_data(envelope.data, list[msgspec.Raw], "JDB")
    return Page(total=None, rows=rows)


def report_date(instant: datetime) -> date:
    """Return the report date whose noon-to-noon day (UTC+8) begins at *instant*. Raises ConfigError if none does."""
    local = instant.astimezone(BEIJING)
    if (local.hour, local.minute, local.second, local.microsecond) != (12, 0, 0, 0):
        raise ConfigError(
            f"a JDB day begins at 12:00 in UTC+8, {instant} does not.",
            advice="Leave the slice of jdb at whole days; the logical date's day is noon to noon in Beijing.",
        )
    return local.date()


def daily_windows(slice_: Slice, options: FeedOptions) -> Iterator[Window]:
    """Yield one window per Beijing day and declared game type."""
    for day in slice_.split(DAY):
        report_date(day.start)
        report_date(day.end)
        for g_type in options.g_types:
            yield Window(day, {"gType": g_type})


def _window_values(window: Window, options: FeedOptions) -> tuple[Any, ...]:
    return report_date(window.range.start), window.params["gType"], options.currency


DAILY = FeedSpec(
    provider="jdb",
    name="daily",
    title="JDB's daily report",
    document="Action 42: daily reconciliation report",
    endpoint="/apiRequest.do",
    # The provider publishes none; this is a polite default.
    interval=timedelta(seconds=5),
    reach=timedelta(days=90),
    # Strict reading of the document's examples: on n (UTC+8), dates up to date(n - 13 h) - 2 days. The newest
    # such date D satisfies n >= D + 2 d + 13 h, that is one day and one hour after the report's own end at noon.
    lag=timedelta(days=1, hours=1),
    max_window=DAY,
    slice_width=DAY,
    slice_anchor=NOON,
    row=DailyTotal,
    table=staging.jdb_daily,
    key=("report_date", "g_type", "uid"),
    # The report date's noon in UTC+8.
    position="(({row}.report_date + time '04:00') AT TIME ZONE 'UTC')",
    snapshot=True,
    windows=daily_windows,
    read_page=read_daily,
    window_columns=("report_date", "g_type", "currency"),
    window_values=_window_values,
    revisits=(timedelta(days=1), timedelta(days=3)),
    required_options=frozenset({"currency", "g_types"}),
    tags=("daily",),
)

FEEDS = (DAILY,)


def pad(data: bytes, padding: str) -> bytes:
    """Return *data* padded to whole 16-byte blocks: ``space`` (none when aligned), ``nul`` or ``pkcs7``."""
    missing = -len(data) % BLOCK
    if padding == "space":
        return data + b" " * missing
    if padding == "nul":
        return data + b"\0" * missing
    if padding == "pkcs7":
        count = BLOCK - len(data) % BLOCK
        return data + bytes([count]) * count
    raise ConfigError(f"unknown JDB padding {padding!r}; allowed are {', '.join(PADDINGS)}.")


def encrypt(plaintext: bytes, *, key: str, iv: str, padding: str = "space") -> str:
    """Return ``x``: AES-128-CBC in base64url. Raises ConfigError unless key and IV are 16 bytes of UTF-8."""
    for name, value in (("key (password)", key), ("iv_secret", iv)):
        if len(value.encode()) != BLOCK:
            raise ConfigError(f"JDB's {name} must be {BLOCK} bytes long, not {len(value.encode())}.")
    cipher = AES.new(key.encode(), AES.MODE_CBC, iv.encode())
    return base64.urlsafe_b64encode(cipher.encrypt(pad(plaintext, padding))).decode()


class JdbAuth(requests.auth.AuthBase):
    """Turns ``gType`` and ``date`` of the query into ``dc`` and the encrypted ``x``, stamped when it is sent."""

    def __init__(self, *, parent: str, dc: str, key: str, iv: str, padding: str, clock: Clock) -> None:
        self._parent = parent
        self._dc = dc
        self._key = key
        self._iv = iv
        self._padding = padding
        self._clock = clock

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = urlsplit(str(request.url))
        asked = dict(parse_qsl(url.query))
        payload = {
            "action": 42,
            "ts": epoch_ms(self._clock.now()),
            "parent": self._parent,
            "gType": asked["gType"],
            "date": asked["date"],
        }
        x = encrypt(compact_json(payload).encode(), key=self._key, iv=self._iv, padding=self._padding)
        request.url = urlunsplit(url._replace(query=urlencode({"dc": self._dc, "x": x})))
        return request


class JdbHook(ProviderHook):
    """Connection type ``jdb``: host, login = parent, password = AES key, extra ``dc``, ``iv_secret``, ``padding``."""

    conn_type = "jdb"
    hook_name = "JDB"
    default_conn_name = "jdb_default"

    @property
    def merchant_id(self) -> str:
        return self.identifier("login (parent)", self.connection.login)

    def auth(self) -> JdbAuth:
        padding = str(self.extra.get("padding", "space"))
        if padding not in PADDINGS:
            raise ConfigError(
                f"connection {self.conn_id!r} has the padding {padding!r}; allowed are {', '.join(PADDINGS)}."
            )
        return JdbAuth(
            parent=self.merchant_id,
            dc=self.required("extra field dc", self.extra.get("dc")),
            key=self.required("password (AES key)", self.connection.password),
            iv=self.required("extra field iv_secret", self.extra.get("iv_secret")),
            padding=padding,
            clock=self.clock,
        )

    def request(self, feed: FeedSpec, window: Window, offset: int) -> requests.Request:
        params = {
            "gType": window.params["gType"],
            "date": f"{report_date(window.range.start):%d-%m-%Y}",
        }
        return requests.Request("GET", f"{self.url}{feed.endpoint}", params=params)

    def probe(self) -> bytes:
        # Four days ago is ready under every reading of the document.
        day = (self.clock.now().astimezone(BEIJING) - 4 * DAY).date()
        params = {"gType": "0", "date": f"{day:%d-%m-%Y}"}
        return self.send(requests.Request("GET", f"{self.url}{DAILY.endpoint}", params=params))

    def read_probe(self, body: bytes) -> None:
        read_daily(body)
