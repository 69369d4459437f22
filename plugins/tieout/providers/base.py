"""What the four provider hooks share: connection → signed session, one bounded call, a connection test."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar, Protocol

import requests
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from tieout.core.clock import Clock, SystemClock
from tieout.core.egress import Sending
from tieout.core.envelope import message_text
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
from tieout.core.http import HttpLimits, base_url, call, new_session, open_connection
from tieout.core.redaction import redact, remember, without_frames
from tieout.core.slices import Window

SHORT_TEST_LIMITS = HttpLimits(connect_timeout=5, read_timeout=15, total_timeout=25)
MAX_IDENTIFIER = 255


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
        words = message_text(message)
        said = f", the provider says {words!r}" if words else ""
        known = self.codes.get(str(code))
        if known is None:
            return FatalError(
                f"{self.provider} answered the undocumented code {redact(str(code))[:40]!r}{said}.",
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


def protect(*secrets: str | bytes) -> None:
    """Keep secrets, however they are spelled, out of Airflow's logs and out of errors that quote a provider."""
    mask_secret(list(remember(*secrets)))


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
        # Called around the sending of every call: it may be, or have been, too late for the slot that was granted.
        self.sending = Sending()
        self._session: requests.Session | None = None
        self._rehearsed = False

    @property
    def connection(self) -> ConnectionLike:
        """The Airflow connection, looked up once."""
        if self._connection is None:
            self._connection = self.get_connection(self.conn_id)
        return self._connection

    @cached_property
    def extra(self) -> dict[str, Any]:
        """The connection's extra fields, read once: Airflow masks them all in its logs whenever they are read."""
        extra = self.connection.extra_dejson
        # The UI stores extra fields that hold JSON as text.
        return {key: value for key, value in extra.items() if value not in (None, "")}

    @property
    def url(self) -> str:
        """The provider's base URL. Raises ConfigError unless https (or loopback, or allow_http)."""
        allow = str(self.extra.get("allow_http", "")).lower() in ("true", "1", "yes")
        # No local variable holds the connection: its repr shows the password.
        host, port = self.connection.host, self.connection.port
        return base_url(host, port=port, allow_http=allow, conn_id=self.conn_id)

    @property
    @abstractmethod
    def merchant_id(self) -> str:
        """The provider's own id of the agent."""

    def secrets(self) -> tuple[str | bytes, ...]:
        """What must never be shown: the password, and extra fields whose names Airflow hides too."""
        hidden = (str(value) for key, value in self.extra.items() if key.endswith("_secret") or key == "api_key")
        return (self.connection.password or "", *hidden)

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
            protect(*self.secrets())
            with without_frames():
                self._session = new_session(self.auth())
        return self._session

    def prepare(self, feed: FeedSpec, window: Window, offset: int) -> None:
        """Do beforehand what the call would have to wait for: load what signs it, open the connection. Sends nothing.

        Raises the classed errors of tieout.core.errors when there is no way to the server.
        """
        session = self.get_conn()
        if not self._rehearsed:
            # The first signature of a process loads ciphers: a tenth of a second on a busy machine. This one is thrown
            # away, and what is wrong with it the call will say.
            with without_frames(), suppress(requests.RequestException, ValueError):
                session.prepare_request(self.request(feed, window, offset))
            self._rehearsed = True
        open_connection(session, self.url, limits=self.limits)

    def fetch(self, feed: FeedSpec, window: Window, offset: int) -> bytes:
        """Sign now, call once and return the body. Raises the classed errors of tieout.core.errors."""
        return self.send(self.request(feed, window, offset))

    def send(self, request: requests.Request) -> bytes:
        """Sign and send one request."""
        return call(self.get_conn(), request, clock=self.clock, limits=self.limits, sending=self.sending)

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

    def identifier(self, name: str, value: Any) -> str:
        """Return *value* as the provider's id of the agent. Raises ConfigError unless it can stand in any log line."""
        text = self.required(name, value)
        if not text.isprintable() or text != text.strip() or len(text) > MAX_IDENTIFIER:
            raise ConfigError(
                f"connection {self.conn_id!r} ({self.conn_type}) has a {name} with spaces around it, with line breaks "
                f"or other characters that cannot be printed, or of more than {MAX_IDENTIFIER} characters.",
                advice="Enter it again; it was probably copied together with something else.",
            )
        return text

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
