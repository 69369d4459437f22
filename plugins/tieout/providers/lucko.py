"""Lucko: bets ('Query Bet Records (By Time Period)') and rebates ('Query Rebate Records').

Signed GET requests: drop empty values, sort keys by ASCII, join raw ``k=v`` with ``&``,
``sign = md5(KEY + "&" + joined)``. A timestamp is valid for ten minutes. Bets are filtered by order update time,
``[start, end)``; rebates by dispatch time, both ends inclusive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import requests

from tieout.core.clock import Clock, epoch_ms
from tieout.core.contract import ABSENT, ControlTotal, EpochMs, Ident, Int32, Int64, Row
from tieout.core.contract import Code as CodeText
from tieout.core.envelope import decode_data, decode_envelope
from tieout.core.errors import ContractBroken, FatalError
from tieout.core.feed import FeedSpec, Page, whole_windows
from tieout.core.slices import Window
from tieout.core.tables import staging
from tieout.providers.base import (
    BAD_REQUEST,
    PAST_REACH,
    THROTTLED,
    Code,
    ErrorTable,
    ProviderHook,
    signature_refused,
)

SUCCESS = 200
#: Of one page; more than is asked for is read, but not any number.
ROWS_TOLERATED = 20_000

#: 'Error Codes' of both pages. The rebate page omits 408004 and 700401; they are handled for it too.
ERRORS = ErrorTable(
    "Lucko",
    {
        "408000": BAD_REQUEST,
        "408003": Code(
            error=FatalError,
            meaning="this machine's address is not on the whitelist",
            advice="Ask the provider to whitelist the outgoing address of the workers.",
        ),
        "408004": THROTTLED,
        "600100": signature_refused("the sign key (password)"),
        "600101": BAD_REQUEST,
        "700101": Code(
            error=FatalError, meaning="no such merchant", advice="Check the agent id (login) in the connection."
        ),
        "700401": PAST_REACH,
    },
)


class Bet(Row, frozen=True):
    """A bet ('Response Parameters', data.transactions). Amounts are strings of exact decimals."""

    id: Ident
    user_id: Ident
    game_id: Ident
    bet_time: EpochMs
    bet_amount: Decimal
    valid_bet_turnover: Decimal
    currency: Ident
    update_time: EpochMs
    status: Int32
    settle_time: EpochMs | None = None
    inst_id: CodeText | None = None
    shoe_id: Int64 | None = None
    round_id: Int64 | None = None
    real_bet_amount: Decimal | None = None
    win_amount: Decimal | None = None
    real_win_amount: Decimal | None = None
    bet_detail: msgspec.Raw = ABSENT
    win_detail: msgspec.Raw = ABSENT
    no_comm: bool | None = None
    game_result: msgspec.Raw = ABSENT
    open_cards: msgspec.Raw = ABSENT
    create_time: EpochMs | None = None


class Rebate(Row, frozen=True):
    """A rebate ('Response Parameters', data.list). ``rate`` is in percent; a failed one has no wallet id."""

    id: Ident
    activity_id: Ident
    user_id: Ident
    date: EpochMs
    currency: Ident
    turnover: Decimal
    rate: Decimal
    rebate_amount: Decimal
    status: Int32
    create_time: EpochMs
    txn_ids: list[Ident]
    wallet_txn_id: CodeText | None = None


class _BetList(msgspec.Struct):
    rows: list[msgspec.Raw] = msgspec.field(name="transactions")
    total: ControlTotal | None = None  # the roulette sample has none


class _RebateList(msgspec.Struct):
    rows: list[msgspec.Raw] = msgspec.field(name="list")
    total: ControlTotal | None = None


class _Envelope(msgspec.Struct):
    code: int | str
    message: msgspec.Raw = ABSENT
    data: msgspec.Raw = ABSENT


def _page_of(body: bytes, form: type[_BetList | _RebateList]) -> Page:
    envelope: _Envelope = decode_envelope(body, _Envelope, "Lucko")
    if str(envelope.code) != str(SUCCESS):
        raise ERRORS.error(envelope.code, envelope.message)
    data: _BetList | _RebateList = decode_data(envelope.data, form, "Lucko")
    if len(data.rows) > ROWS_TOLERATED:
        raise ContractBroken(
            f"Lucko answered {len(data.rows)} rows on one page, at most 5000 can be asked for.",
            advice="Ask the provider whether the endpoint still pages.",
        )
    return Page(total=data.total, rows=data.rows)


def read_bets(body: bytes) -> Page:
    """Return the bets of one answer, raw. Raises the error of its code."""
    return _page_of(body, _BetList)


def read_rebates(body: bytes) -> Page:
    """Return the rebates of one answer, raw. Raises the error of its code."""
    return _page_of(body, _RebateList)


BETS = FeedSpec(
    provider="lucko",
    name="bets",
    title="Lucko's bet records",
    document="Query Bet Records (By Time Period)",
    endpoint="/api/game/transaction/query",
    interval=timedelta(seconds=5),
    # The provider's Chinese page says 30 s; after a 408004 that is what holds for the agent.
    widen_factor=6,
    reach=timedelta(days=90),
    # A sibling endpoint advises resuming one minute back; two minutes let late writes arrive.
    lag=timedelta(minutes=2),
    # "Less than 1 day": whole hours, so 23.
    max_window=timedelta(hours=23),
    slice_width=timedelta(hours=1),
    page_size=5000,
    row=Bet,
    nullable_epochs=("settle_time",),
    table=staging.lucko_bets,
    versions=staging.lucko_bet_versions,
    key=("id",),
    order="update_time",
    immutable=("user_id", "bet_time", "game_id", "currency"),
    position="{row}.update_time",
    windows=whole_windows(timedelta(hours=23)),
    read_page=read_bets,
    revisits=(timedelta(hours=1), timedelta(hours=24)),
    tags=("bets",),
)

#: Links of changed rebates are written anew; ``times`` keeps how often an id is repeated.
_RELINK = (
    """DELETE FROM staging.lucko_rebate_bets l USING staging.lucko_rebates r
       WHERE r.agent = %(agent)s AND r.load_id = %(load_id)s AND l.agent = r.agent AND l.rebate_id = r.id""",
    """INSERT INTO staging.lucko_rebate_bets (agent, rebate_id, bet_id, times, load_id)
       SELECT r.agent, r.id, b.bet_id, count(*), %(load_id)s
       FROM staging.lucko_rebates r
       JOIN (SELECT DISTINCT id FROM incoming) i ON i.id = r.id
       CROSS JOIN LATERAL jsonb_array_elements_text(r.txn_ids) AS b(bet_id)
       WHERE r.agent = %(agent)s AND r.load_id = %(load_id)s
       GROUP BY r.agent, r.id, b.bet_id""",
)

REBATES = FeedSpec(
    provider="lucko",
    name="rebates",
    title="Lucko's rebate records",
    document="Query Rebate Records (Reconciliation Statement)",
    endpoint="/api/promo/rebate/bill",
    interval=timedelta(seconds=10),
    widen_factor=3,
    reach=None,
    lag=timedelta(minutes=2),
    max_window=timedelta(days=1),
    slice_width=timedelta(hours=1),
    page_size=3000,
    row=Rebate,
    table=staging.lucko_rebates,
    versions=staging.lucko_rebate_versions,
    key=("id",),
    immutable=("user_id", "activity_id", "currency", "create_time"),
    position="{row}.create_time",
    windows=whole_windows(timedelta(days=1)),
    read_page=read_rebates,
    after_merge=_RELINK,
    revisits=(timedelta(hours=1), timedelta(hours=24), timedelta(days=7)),
    tags=("rebates",),
)

FEEDS = (BETS, REBATES)


def canonical(params: Mapping[str, str]) -> str:
    """Return the text that is signed: non-empty values but ``sign``, sorted by key, raw, joined with ``&``."""
    pairs = sorted((key, value) for key, value in params.items() if key != "sign" and value != "")
    return "&".join(f"{key}={value}" for key, value in pairs)


def sign(params: Mapping[str, str], key: str) -> str:
    """Return ``md5(KEY + "&" + canonical)`` in lowercase hex."""
    return hashlib.md5(f"{key}&{canonical(params)}".encode(), usedforsecurity=False).hexdigest()


class LuckoAuth(requests.auth.AuthBase):
    """Adds agent id, timestamp and signature to the query of a request at the moment it is sent."""

    def __init__(self, *, agent_id: str, key: str, clock: Clock) -> None:
        self._agent_id = agent_id
        self._key = key
        self._clock = clock

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = urlsplit(str(request.url))
        params = dict(parse_qsl(url.query, keep_blank_values=True))
        params["agent_id"] = self._agent_id
        params["timestamp"] = str(epoch_ms(self._clock.now()))
        params["sign"] = sign(params, self._key)
        request.url = urlunsplit(url._replace(query=urlencode(params)))
        return request


class LuckoHook(ProviderHook):
    """Connection type ``lucko``: host, login = agent id, password = sign key."""

    conn_type = "lucko"
    hook_name = "Lucko"
    default_conn_name = "lucko_default"

    @property
    def merchant_id(self) -> str:
        return self.identifier("login (agent id)", self.connection.login)

    def auth(self) -> LuckoAuth:
        key = self.required("password (sign key)", self.connection.password)
        return LuckoAuth(agent_id=self.merchant_id, key=key, clock=self.clock)

    def request(self, feed: FeedSpec, window: Window, offset: int) -> requests.Request:
        params = (bet_params if feed.name == BETS.name else rebate_params)(window, offset, feed.page_size)
        return requests.Request("GET", f"{self.url}{feed.endpoint}", params=params)

    def probe(self) -> bytes:
        # The first milliseconds of 1970 hold no rebates: a signed call with an empty answer.
        params = {"time_start": "0", "time_end": "1", "start": "0", "count": "1"}
        return self.send(requests.Request("GET", f"{self.url}{REBATES.endpoint}", params=params))

    def read_probe(self, body: bytes) -> None:
        read_rebates(body)


def bet_params(window: Window, offset: int, page_size: int | None = BETS.page_size) -> dict[str, str]:
    """Return the query of one page of bets: ``start_time`` inclusive, ``end_time`` exclusive, milliseconds."""
    return {
        "start_time": str(epoch_ms(window.range.start)),
        "end_time": str(epoch_ms(window.range.end)),
        "start_index": str(offset),
        "page_size": str(page_size),
    }


def rebate_params(window: Window, offset: int, page_size: int | None = REBATES.page_size) -> dict[str, str]:
    """Return the query of one page of rebates: both bounds inclusive, so the end is the last millisecond inside."""
    return {
        "time_start": str(epoch_ms(window.range.start)),
        "time_end": str(epoch_ms(window.range.end) - 1),
        "start": str(offset),
        "count": str(page_size),
    }
