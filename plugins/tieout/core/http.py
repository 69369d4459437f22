"""HTTP as tieout does it: verified TLS, explicit timeouts, no redirects, bounded bodies, classed errors."""

from __future__ import annotations

import ipaddress
import os
import ssl
import zlib
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.proxy import connection_requires_http_tunnel

from tieout.core import egress
from tieout.core.clock import Clock
from tieout.core.errors import ConfigError, FatalError, Throttled, TieoutError, Unreachable
from tieout.core.redaction import without_frames

CHUNK = 64 * 1024
#: No provider may send a caller away for longer.
MAX_RETRY_AFTER = timedelta(days=1)
#: What may come besides the body: status lines, headers, chunk sizes, trailers.
FRAMING = 1024 * 1024
#: One of these at most: every layer multiplies what a few bytes can become.
ENCODINGS = ("gzip", "x-gzip", "deflate", "identity", "")


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Bounds of one call: seconds to connect, between bytes and in all, bytes of a decoded body."""

    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    total_timeout: float = 300.0
    max_body: int = 64 * 1024 * 1024


def base_url(host: str | None, *, port: int | None = None, allow_http: bool = False, conn_id: str = "") -> str:
    """Return the base URL of a connection's host: https, or plain http for loopback (or when *allow_http*).

    *host* may be a bare name or a full base URL. Raises ConfigError for anything else.
    """
    who = f"connection {conn_id!r}" if conn_id else "the connection"
    if not host:
        raise ConfigError(f"{who} has no host.", advice="Enter the provider's API address as host.")
    try:
        url = urlsplit(host if "://" in host else f"https://{host}")
        own_port = url.port
    except ValueError as error:
        raise ConfigError(f"{who} has a host that is no http(s) address: {error}.") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"{who} has a host that is no http(s) address.")
    try:
        egress.check_host(url.hostname)
    except egress.ForbiddenAddress as error:
        raise ConfigError(f"{who} names no provider: {error}.", advice="Enter the provider's API address.") from None
    if url.username or url.password or url.query or url.fragment:
        raise ConfigError(f"{who} must not carry credentials, a query or a fragment in its host.")
    if url.scheme == "http" and not (allow_http or _is_loopback(url.hostname)):
        raise ConfigError(
            f"{who} asks for plain http to {url.hostname}: credentials and bets would travel unencrypted.",
            advice='Use https, or set "allow_http": true in its extra if the network is private.',
        )
    netloc = url.netloc if own_port or port is None else f"{url.netloc}:{port}"
    return f"{url.scheme}://{netloc}{url.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_session(auth: requests.auth.AuthBase | None = None) -> requests.Session:
    """Return a session that verifies TLS, never follows ~/.netrc, and honours the proxy environment variables."""
    session = egress.guard(requests.Session())
    # trust_env would also let ~/.netrc replace the Authorization header; proxies are looked up explicitly.
    session.trust_env = False
    session.auth = auth
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "tieout"})
    return session


def call(
    session: requests.Session,
    request: requests.Request,
    *,
    clock: Clock,
    limits: HttpLimits | None = None,
    auth_statuses: tuple[int, ...] = (401, 403),
    sending: egress.Sending | None = None,
) -> bytes:
    """Sign and send *request* now and return its decoded body. *sending* may still refuse right before.

    Raises Unreachable (timeouts, resets, 5xx, HTML, truncated, oversize or endless answers), Throttled (429, with the
    delay of Retry-After), FatalError (redirects, 401/403, other 4xx), ConfigError (addresses and fields of the
    connection that cannot be used).
    """
    with without_frames():
        return _call(session, request, clock, limits or HttpLimits(), auth_statuses, sending)


def _call(
    session: requests.Session,
    request: requests.Request,
    clock: Clock,
    bounds: HttpLimits,
    auth_statuses: tuple[int, ...],
    sending: egress.Sending | None,
) -> bytes:
    try:
        prepared = session.prepare_request(request)
    except (requests.RequestException, ValueError) as error:
        raise ConfigError(f"the address of the connection cannot be used: {_cause(error)}.") from None
    host = urlsplit(prepared.url or "").netloc
    verify, proxies = _route(prepared.url or "")
    with egress.budget(bounds.total_timeout, bounds.max_body + FRAMING, sending) as budget:
        try:
            response = session.send(
                prepared,
                timeout=(bounds.connect_timeout, bounds.read_timeout),
                allow_redirects=False,
                stream=True,
                verify=verify,
                proxies=proxies,
            )
            with response:
                _check_status(response, host, clock, auth_statuses)
                _check_encoding(response, host)
                body = _read_bounded(response, bounds.max_body, host)
        except (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error) as error:
            raise _broken_off(error, host, budget) from None
        except egress.ForbiddenAddress as error:
            raise _forbidden(host, error) from None
        except ValueError as error:
            raise ConfigError(
                f"a field of the connection cannot be sent in a header: {_cause(error)}.",
                advice="Check login and extra of the connection for line breaks and foreign characters.",
            ) from None
    _refuse_html(response, body, host)
    return body


def open_connection(session: requests.Session, url: str, *, limits: HttpLimits | None = None) -> None:
    """Make sure that *session* holds an open connection to *url*, through the proxy where there is one.

    Sends no request: a call made right after it finds TCP, the proxy's tunnel and TLS set up and arrives without delay.
    Raises what ``call`` raises when there is no way to the server.
    """
    bounds = limits or HttpLimits()
    host = urlsplit(url).netloc
    verify, proxies = _route(url)
    adapter = session.get_adapter(url)
    assert isinstance(adapter, HTTPAdapter)
    with egress.budget(bounds.connect_timeout, FRAMING) as budget:
        try:
            pool = adapter.get_connection_with_tls_context(
                requests.Request("GET", url).prepare(), verify, proxies=proxies
            )
            assert isinstance(pool, urllib3.HTTPConnectionPool)
            adapter.cert_verify(pool, url, verify, None)  # type: ignore[no-untyped-call]
            _connect(pool, bounds.connect_timeout)
        except egress.ForbiddenAddress as error:
            raise _forbidden(host, error) from None
        except (ssl.SSLError, urllib3.exceptions.SSLError) as error:
            raise _broken_off(requests.exceptions.SSLError(error), host, budget) from None
        except (OSError, urllib3.exceptions.HTTPError, HTTPException) as error:
            raise _broken_off(error, host, budget) from None


def _connect(pool: urllib3.HTTPConnectionPool, timeout: float) -> None:
    """Do a pool's own steps before a request: it has no public method that stops there."""
    # The pool hands out an open connection, and not one that the server has closed meanwhile.
    connection = pool._get_conn()
    try:
        if connection.is_closed:
            connection.timeout = timeout
            if connection_requires_http_tunnel(pool.proxy, pool.proxy_config, pool.scheme):
                pool._prepare_proxy(connection)
            else:
                connection.connect()
    except BaseException:
        connection.close()
        raise
    finally:
        pool._put_conn(connection)


def _route(url: str) -> tuple[bool | str, dict[str, str]]:
    """Return requests' ``verify`` and ``proxies`` for *url*.

    The session ignores the environment, so a company's own CA bundle and its proxies are looked up here.
    """
    local = _is_loopback(urlsplit(url).hostname or "")
    proxies: dict[str, str] = {} if local else requests.utils.get_environ_proxies(url)
    return os.environ.get("REQUESTS_CA_BUNDLE") or True, proxies


def _forbidden(host: str, error: egress.ForbiddenAddress) -> ConfigError:
    return ConfigError(
        f"{host} leads where no provider can be: {error}.",
        advice="Check the host of the connection and what its name resolves to.",
    )


def _broken_off(error: Exception, host: str, budget: egress.Budget) -> TieoutError:
    """Return the error for a call without a complete answer."""
    if budget.spent:
        return Unreachable(f"the answer of {host} {budget.spent} and was not read to its end.")
    if not isinstance(error, requests.exceptions.SSLError):
        return Unreachable(
            f"no complete answer from {host}: {_cause(error)}.",
            advice="The provider or the network on the way is down; if it lasts, check the host of the connection.",
        )
    if any(name in _cause(error) for name in ("SSLEOFError", "SSLZeroReturnError", "SSLSyscallError")):
        # A server that closes during the handshake is restarting, not impersonated.
        return Unreachable(f"no complete answer from {host}: {_cause(error)}.")
    return FatalError(
        f"the TLS certificate of {host} cannot be verified, or it speaks no TLS: {_cause(error)}.",
        advice="Check the host of the connection and the machine's CA certificates.",
    )


def _check_status(response: requests.Response, host: str, clock: Clock, auth_statuses: tuple[int, ...]) -> None:
    status = response.status_code
    if status == 200:
        return
    if status == 429:
        raise Throttled(f"{host} answered HTTP 429 (too many requests).", delay=_retry_after(response, clock))
    if status >= 500 or status == 408:
        raise Unreachable(f"{host} answered HTTP {status}.", delay=_retry_after(response, clock))
    if 300 <= status < 400:
        raise FatalError(
            f"{host} answered a redirect (HTTP {status}), which is refused: credentials could leave for another host.",
            advice="Put the final address into the connection's host.",
        )
    if status in auth_statuses:
        raise NotAuthorised(
            f"{host} answered HTTP {status}: the credentials were not accepted.",
            advice="Check login, password and extra of the connection, and the provider's IP whitelist.",
        )
    raise FatalError(f"{host} answered HTTP {status}.", advice="Check the host of the connection.")


class NotAuthorised(FatalError):
    """HTTP 401 or 403."""


def _check_encoding(response: requests.Response, host: str) -> None:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ENCODINGS:
        raise Unreachable(f"{host} answered in the encoding {encoding[:40]!r}, which was not asked for.")


def _retry_after(response: requests.Response, clock: Clock) -> timedelta | None:
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        asked = timedelta(seconds=int(value)) if value.isdecimal() else parsedate_to_datetime(value) - clock.now()
        return min(max(asked, timedelta(0)), MAX_RETRY_AFTER)
    except (TypeError, ValueError, OverflowError):
        return None


def _read_bounded(response: requests.Response, limit: int, host: str) -> bytes:
    chunks: list[bytes] = []
    size = 0
    # Counting decoded bytes chunk by chunk stops a decompression bomb before it fills the memory.
    for chunk in response.iter_content(CHUNK):
        size += len(chunk)
        if size > limit:
            raise Unreachable(f"the answer of {host} is larger than {limit} bytes and was not read to its end.")
        chunks.append(chunk)
    return b"".join(chunks)


def _refuse_html(response: requests.Response, body: bytes, host: str) -> None:
    start = body[:200].lstrip().lower()
    # Some servers call their JSON text/html; what it is decides, not what it is called.
    called_html = "text/html" in response.headers.get("Content-Type", "") and not start.startswith((b"{", b"["))
    if start.startswith((b"<!doctype", b"<html")) or called_html:
        raise Unreachable(f"{host} answered an HTML page instead of JSON (a proxy or a maintenance page).")


def _cause(error: BaseException) -> str:
    """Name the kind of failure without the URL, which carries signatures."""
    names: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(names) < 6:
        names.append(type(seen).__name__)
        inner = [getattr(seen, "reason", None), *seen.args, seen.__cause__]
        seen = next((other for other in inner if isinstance(other, BaseException)), None)
    return " < ".join(dict.fromkeys(names))
