"""HotRoad Gaming: hourly totals per game ('3.8 Get Transactions Summary').

POST JSON with Basic auth. Hours are written ``yyyy-MM-dd'T'HH+0800`` in GMT+8; the filter is bet time, the end is
exclusive. Only data integrated one hour ago is served, 40 days back, at most 24 hours a query, one call a second.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
import requests
from requests.auth import HTTPBasicAuth

from tieout.core.contract import ABSENT, Ident, Row
from tieout.core.envelope import decode_data, decode_envelope
from tieout.core.errors import ConfigError, Unreachable
from tieout.core.feed import FeedOptions, FeedSpec, Page, whole_windows
from tieout.core.slices import Slice, Window
from tieout.core.tables import staging
from tieout.providers.base import Code, ErrorTable, ProviderHook

GMT8 = timezone(timedelta(hours=8))
HOUR = timedelta(hours=1)
SUCCESS = "0000"

#: The provider's code table (5.4) is not public: everything but success is an error.
#: A connection's extra ``retry_codes`` names codes that pass by themselves, separated by commas.
ERRORS = ErrorTable("HotRoad", {})

_RETRY = Code(error=Unreachable, meaning="named in the connection's retry_codes")


class Summary(Row, frozen=True, rename="camel"):
    """Totals of one game ('Return Result', data.list). Numbers of at most four decimals; some may be absent."""

    amounts_are_numbers: ClassVar[bool] = True

    game_type: Ident
    game_code: Ident
    bet_amount: Decimal
    win_loss: Decimal
    win_amount: Decimal
    valid_bet: Decimal
    real_credit: Decimal | None = None
    free_credit: Decimal | None = None
    promotion_credit: Decimal | None = None
    commission: Decimal | None = None


class _List(msgspec.Struct):
    rows: list[msgspec.Raw] = msgspec.field(name="list")


class _Envelope(msgspec.Struct):
    code: str | int
    data: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


def read_summary(body: bytes) -> Page:
    """Return the rows of one answer, raw. Raises the error of its code."""
    envelope: _Envelope = decode_envelope(body, _Envelope, "HotRoad")
    if envelope.code != SUCCESS:
        raise ERRORS.error(envelope.code, envelope.message)
    data: _List = decode_data(envelope.data, _List, "HotRoad")
    return Page(total=None, rows=data.rows)


def _window_values(window: Window, options: FeedOptions) -> tuple[Any, ...]:
    return window.range.start, options.currency


SUMMARY = FeedSpec(
    provider="hotroad",
    name="summary",
    title="HotRoad's transactions summary",
    document="3.8 Get Transactions Summary",
    endpoint="/api/get_transactions_summary",
    interval=timedelta(seconds=1),
    reach=timedelta(days=40),
    # "Integrated one hour ago", and one hour more to be sure of it.
    lag=timedelta(hours=2),
    # 24 hours are allowed, but the answer does not say the hour of a total: one window per hour keeps it.
    max_window=HOUR,
    slice_width=HOUR,
    row=Summary,
    table=staging.hotroad_summary,
    key=("hour_start", "game_type", "game_code"),
    position="{row}.hour_start",
    snapshot=True,
    windows=whole_windows(HOUR),
    read_page=read_summary,
    window_columns=("hour_start", "currency"),
    window_values=_window_values,
    revisits=(timedelta(days=1), timedelta(days=3)),
    required_options=frozenset({"currency"}),
    tags=("summary",),
)

FEEDS = (SUMMARY,)


def hour_text(instant: datetime) -> str:
    """Return an instant as a GMT+8 hour, ``2022-07-03T00+0800``. Raises ConfigError unless it is a whole hour."""
    local = instant.astimezone(GMT8)
    if local.minute or local.second or local.microsecond:
        raise ConfigError(
            f"HotRoad is asked by whole hours, {instant} is none.",
            advice="Choose a slice of whole hours for hotroad in feeds.yaml.",
        )
    return f"{local:%Y-%m-%dT%H}+0800"


def summary_params(agent_id: str, range_: Slice) -> dict[str, str]:
    """Return the body of one request."""
    return {"agentId": agent_id, "startTimeHr": hour_text(range_.start), "endTimeHr": hour_text(range_.end)}


class HotRoadHook(ProviderHook):
    """Connection type ``hotroad``: host, login and password = Basic auth, extra ``agent_id``, ``retry_codes``.

    Without a login the password is the user name too: Airflow shows logins to whoever may read connections.
    """

    conn_type = "hotroad"
    hook_name = "HotRoad Gaming"
    default_conn_name = "hotroad_default"

    @property
    def merchant_id(self) -> str:
        return self.identifier("extra field agent_id", self.extra.get("agent_id"))

    def auth(self) -> HTTPBasicAuth:
        # As bytes: texts beyond Latin-1 could not be sent.
        password = self.required("password", self.connection.password).encode()
        return HTTPBasicAuth((self.connection.login or "").encode() or password, password)

    def secrets(self) -> tuple[str | bytes, ...]:
        # HotRoad issues one key that is user and password in one.
        password = self.connection.password or ""
        login = self.connection.login or password
        return (*super().secrets(), login, f"{login}:{password}")

    def request(self, feed: FeedSpec, window: Window, offset: int) -> requests.Request:
        payload = summary_params(self.merchant_id, window.range)
        return requests.Request("POST", f"{self.url}{feed.endpoint}", json=payload)

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        body = super().fetch(feed, window, offset)
        self._raise_retryable(body)
        return body

    def _raise_retryable(self, body: bytes) -> None:
        named = self.extra.get("retry_codes") or ""
        codes = named if isinstance(named, list) else str(named).split(",")
        retry_codes = {str(code).strip() for code in codes} - {""}
        if not retry_codes:
            return
        envelope: _Envelope = decode_envelope(body, _Envelope, "HotRoad")
        if str(envelope.code) in retry_codes:
            raise ErrorTable("HotRoad", {str(envelope.code): _RETRY}).error(envelope.code, envelope.message)

    def probe(self) -> bytes:
        end = self.clock.now().replace(minute=0, second=0, microsecond=0) - 3 * HOUR
        payload = summary_params(self.merchant_id, Slice(end - HOUR, end))
        return self.send(requests.Request("POST", f"{self.url}{SUMMARY.endpoint}", json=payload))

    def read_probe(self, body: bytes) -> None:
        read_summary(body)
