"""What the four provider hooks share: connection → signed session, one bounded call, a connection test."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Protocol

import msgspec
import requests
from airflow.sdk import BaseHook

from tieout.core.clock import Clock, SystemClock
from tieout.core.errors import (
    ConfigError,
    ContractBroken,
    FatalError,
    NotReady,
    PastReach,
    Throttled,
    TieoutError,
    Unreachable,
)
from tieout.core.feed import FeedSpec
from tieout.core.http import HttpLimits, base_url, call, new_session
from tieout.core.slices import Window

SHORT_TEST_LIMITS = HttpLimits(connect_timeout=5, read_timeout=15)


class ConnectionLike(Protocol):
    """The fields of an Airflow connection the hooks read."""

    conn_id: str
    host: str | None
    port: int | None
    login: str | None
    password: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Code:
    """One line of a provider's error table: how to recover, what it means, what to do."""

    error: type[TieoutError]
    meaning: str
    advice: str = ""
    delay: timedelta | None = None


class ErrorTable:
    """A provider's business codes. An unknown code is an error, never data."""

    def __init__(self, provider: str, codes: Mapping[str, Code]) -> None:
        self.provider = provider
        self.codes = dict(codes)

    def error(self, code: object, message: object = "") -> TieoutError:
        """Return the classed error for a business code other than success."""
        said = f", the provider says {str(message)[:200]!r}" if message else ""
        known = self.codes.get(str(code))
        if known is None:
            return FatalError(
                f"{self.provider} answered the undocumented code {str(code)[:40]!r}{said}.",
                advice="Ask the provider what it means; nothing of this answer was taken as data.",
            )
        text = f"{self.provider} answered code {code} ({known.meaning}){said}."
        if issubclass(known.error, (Throttled, Unreachable, NotReady)):
            return known.error(text, advice=known.advice, delay=known.delay)
        return known.error(text, advice=known.advice)


def signature_refused(what: str) -> Code:
    """Return the code line for a refused signature."""
    return Code(
        error=FatalError,
        meaning="signature not accepted",
        advice=f"Check {what} in the connection.",
    )


THROTTLED = Code(error=Throttled, meaning="called too often", advice="Another client may share this merchant's quota.")
MAINTENANCE = Code(error=Unreachable, meaning="the provider is busy or under maintenance", delay=timedelta(minutes=5))
BAD_REQUEST = Code(
    error=ContractBroken,
    meaning="a request parameter was refused",
    advice="Report this: the request was built by tieout.",
)
PAST_REACH = Code(
    error=PastReach,
    meaning="the queried time is out of range",
    advice="Check the agent's start and the provider's reach.",
)


def decode_envelope(body: bytes, form: type[Any], provider: str) -> Any:
    """Decode an answer's envelope. Raises Unreachable for truncated JSON, ContractBroken for another form.

    A value that is no JSON (NaN, half a surrogate pair) costs its row, not the page: the row keeps it marked with
    NUL, which no contract accepts.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _undocumented(provider, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        marked = _BAD_VALUE.sub(_mark, body)
        if marked == body:
            raise Unreachable(f"{provider} answered {len(body)} bytes that are no complete JSON: {error}.") from None
    try:
        return msgspec.json.decode(marked, type=form)
    except msgspec.ValidationError as error:
        raise _undocumented(provider, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreachable(f"{provider} answered {len(body)} bytes that are no complete JSON: {error}.") from None


def _undocumented(provider: str, error: Exception) -> ContractBroken:
    return ContractBroken(
        f"{provider} answered JSON of an undocumented form: {error}.",
        advice="Compare the answer with the provider's document.",
    )


#: Whole strings are matched so that what only looks like a bad value inside of them is left alone.
_BAD_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.|[\x00-\x1f]",
    re.DOTALL,
)


def _mark(match: re.Match[bytes]) -> bytes:
    value = match[0]
    return _ESCAPE.sub(_mark_escape, value) if value.startswith(b'"') else b'"\\u0000%b"' % value


def _mark_escape(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    if len(escape) == 1:
        return b"\\u%04x" % escape[0]
    return b"\\u0000%b" % escape[1:] if len(escape) == 6 else escape


class ProviderHook(BaseHook):
    """A provider's API behind an Airflow connection.

    ``get_conn`` returns a ``requests.Session`` that signs every request at the moment it is sent, never earlier.
    """

    conn_name_attr: ClassVar[str] = "conn_id"
    default_conn_name: ClassVar[str] = ""
    conn_type: ClassVar[str] = ""
    hook_name: ClassVar[str] = ""
    limits: HttpLimits = HttpLimits()

    def __init__(
        self,
        conn_id: str | None = None,
        *,
        connection: ConnectionLike | None = None,
        clock: Clock | None = None,
        wait_for: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__()
        self.conn_id = conn_id or self.default_conn_name
        self._connection = connection
        self.clock: Clock = clock or SystemClock()
        # Called with the endpoint before calls of the hook's own (VertexPlay's token): they wait for quota too.
        self.wait_for: Callable[[str], object] = wait_for or (lambda endpoint: None)
        self._session: requests.Session | None = None

    @property
    def connection(self) -> ConnectionLike:
        """The Airflow connection, looked up once."""
        if self._connection is None:
            self._connection = self.get_connection(self.conn_id)
        return self._connection

    @property
    def extra(self) -> dict[str, Any]:
        """The connection's extra fields."""
        extra = self.connection.extra_dejson
        # The UI stores extra fields that hold JSON as text.
        return {key: value for key, value in extra.items() if value not in (None, "")}

    @property
    def url(self) -> str:
        """The provider's base URL. Raises ConfigError unless https (or loopback, or allow_http)."""
        allow = str(self.extra.get("allow_http", "")).lower() in ("true", "1", "yes")
        connection = self.connection
        return base_url(connection.host, port=connection.port, allow_http=allow, conn_id=self.conn_id)

    @property
    @abstractmethod
    def merchant_id(self) -> str:
        """The provider's own id of the agent."""

    @abstractmethod
    def auth(self) -> requests.auth.AuthBase:
        """Return the object that signs a request when it is sent."""

    @abstractmethod
    def request(self, feed: FeedSpec, window: Window, offset: int) -> requests.Request:
        """Return the unsigned request for one page of a window."""

    @abstractmethod
    def probe(self) -> bytes:
        """Make the cheapest signed call there is and return its body."""

    @abstractmethod
    def read_probe(self, body: bytes) -> None:
        """Raise unless the probe's answer proves that credentials and address are right."""

    def get_conn(self) -> requests.Session:
        """Return the signed session, made once."""
        if self._session is None:
            self._session = new_session(self.auth())
        return self._session

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        """Sign now, call once and return the body. Raises the classed errors of tieout.core.errors."""
        return self.send(self.request(feed, window, offset))

    def send(self, request: requests.Request) -> bytes:
        """Sign and send one request."""
        return call(self.get_conn(), request, clock=self.clock, limits=self.limits)

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap signed call; Airflow's *Test* button shows the sentence returned."""
        self.limits = SHORT_TEST_LIMITS
        try:
            self.read_probe(self.probe())
        except Throttled as error:
            return True, f"Credentials accepted; the quota is used up at the moment ({error.message})"
        except TieoutError as error:
            # Nothing retries a test: only what happened and what to do.
            return False, f"{error.message} {error.advice}".strip()
        return True, f"{self.hook_name} answered and accepted the signature of merchant {self.merchant_id}."

    def required(self, name: str, value: Any) -> str:
        """Return *value* as text. Raises ConfigError naming the connection's field when it is empty."""
        if value in (None, ""):
            raise ConfigError(
                f"connection {self.conn_id!r} ({self.conn_type}) has no {name}.",
                advice=f"Enter {name} in the connection; see 'Add an agent' in the README.",
            )
        return str(value)


def compact_json(payload: Mapping[str, Any]) -> str:
    """Return the payload as JSON without spaces, keys in the given order: the form that is encrypted."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
