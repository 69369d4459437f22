"""Sockets that keep bounds of their own: where they may lead, how long a call may take, how many bytes it may bring.

What urllib3 and http.client bound by themselves leaves gaps: a read timeout begins anew with every byte, interim
answers, chunk sizes and trailers may go on for ever, a host name may lead to a cloud's metadata service. Here every
read from the wire counts, whatever it is for.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

#: Names and addresses under which clouds answer credentials to whoever asks; link-local ones are refused as a whole.
METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
_METADATA = (
    ipaddress.ip_network("fd00:ec2::/32"),  # AWS
    ipaddress.ip_network("fd20:ce::/32"),  # Google
    ipaddress.ip_network("100.100.100.200/32"),  # Alibaba
    ipaddress.ip_network("168.63.129.16/32"),  # Azure
    ipaddress.ip_network("192.0.0.192/32"),  # Oracle
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddress(Exception):
    """A host is, or leads to, an address no provider can have. The text says which and why."""


def check_host(host: str) -> None:
    """Raise ForbiddenAddress when *host* is the name or the address of something that is no provider."""
    name = host.rstrip(".").lower()
    if name in METADATA_HOSTS:
        raise ForbiddenAddress(f"{host} is a cloud's metadata service")
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return
    check_address(address)


def check_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Raise ForbiddenAddress for metadata services and link-local, multicast and unspecified addresses."""
    real = address
    if isinstance(address, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        real = address.ipv4_mapped or address.sixtofour or inner or address
    if any(real in network for network in _METADATA):
        raise ForbiddenAddress(f"{address} is a cloud's metadata service")
    for what in ("link_local", "multicast", "unspecified"):
        if getattr(real, f"is_{what}"):
            raise ForbiddenAddress(f"{address} is {what.replace('_', '-')}")


@dataclass(frozen=True, kw_only=True)
class Sending:
    """What is called around the sending of a request.

    ``last_look``: when the connection is open and the next thing is to send; it may raise, and nothing is sent.
    ``sent``: when the kernel has every byte of headers and body and no answer was read yet, also when sending them was
    refused or broke off.
    """

    last_look: Callable[[], object] = lambda: None
    sent: Callable[[], object] = lambda: None


@dataclass
class Budget:
    """What one call may still use: seconds (monotonic clock) and bytes from the wire. ``spent``: what ran out."""

    seconds: float
    max_bytes: int
    sending: Sending = Sending()
    spent: str = ""

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.seconds
        self._bytes_left = self.max_bytes

    def time_left(self) -> float:
        """Return the seconds left. Raises TimeoutError when there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.spent = f"did not end within {self.seconds:g} s"
            raise TimeoutError(self.spent)
        return left

    def take(self, count: int) -> None:
        """Count bytes that came. Raises OSError when there were too many."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            self.spent = f"is larger than {self.max_bytes} bytes"
            raise OSError(self.spent)


_CURRENT: ContextVar[Budget | None] = ContextVar("tieout_call_budget", default=None)


@contextmanager
def budget(seconds: float, max_bytes: int, sending: Sending | None = None) -> Iterator[Budget]:
    """Bound every read of the sessions made by ``guard`` inside the block; *sending* is called around each request."""
    current = Budget(seconds, max_bytes, sending or Sending())
    token = _CURRENT.set(current)
    try:
        yield current
    finally:
        _CURRENT.reset(token)


class _BudgetedReads(io.RawIOBase):
    """The raw side of a response's buffer: every read is timed by what is left of the call, and counted."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, current: Budget) -> None:
        self._sock = sock
        self._raw = raw
        self._budget = current
        self._pause = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._budget.time_left()
        self._sock.settimeout(left if self._pause is None else min(left, self._pause))
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError:
            self._budget.time_left()
            raise
        self._budget.take(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        current = _CURRENT.get()
        if current is not None:
            raw: io.RawIOBase = self.fp.detach()
            self.fp = io.BufferedReader(_BudgetedReads(sock, raw, current))


class _Http(HTTPConnection):
    response_class = _Response

    def request(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().request(*args, **kwargs)
        finally:
            # A request that broke off may have arrived, and counts, all the same.
            _tell()

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        _look(self)
        super().endheaders(*args, **kwargs)


class _Https(_Http, HTTPSConnection):
    @property
    def is_connected(self) -> bool:
        # An idle connection with something to read counts as closed by the server and is replaced. After a handshake of
        # TLS 1.3 that may be session tickets: a connection opened ahead of its first call would be thrown away.
        return super().is_connected or _has_only_tickets(self.sock)


class _DirectHttp(_Http):
    def _new_conn(self) -> socket.socket:
        _check_resolved(self._dns_host, self.port)
        return _checked(super()._new_conn())


class _DirectHttps(_Https):
    def _new_conn(self) -> socket.socket:
        _check_resolved(self._dns_host, self.port)
        return _checked(super()._new_conn())


def _check_resolved(host: str, port: int | None) -> None:
    """Raise ForbiddenAddress when a name leads to a forbidden address, before anything is sent there."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # connecting says what is wrong
    for *_, address in found:
        check_address(ipaddress.ip_address(str(address[0]).split("%")[0]))


def _look(connection: HTTPConnection) -> None:
    current = _CURRENT.get()
    if current is not None:
        if connection.sock is None:
            connection.connect()
        current.sending.last_look()


def _tell() -> None:
    current = _CURRENT.get()
    if current is not None:
        current.sending.sent()


def _has_only_tickets(sock: object) -> bool:
    """Read what TLS itself sent on an idle connection; False when the server closed it or sent anything else."""
    if not isinstance(sock, ssl.SSLSocket):
        return False
    pause = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(pause)
    return False


def _checked(sock: socket.socket) -> socket.socket:
    """Return the socket unless its peer is forbidden: a name may lead elsewhere the second time it is looked up."""
    try:
        check_address(ipaddress.ip_address(sock.getpeername()[0].split("%")[0]))
    except ForbiddenAddress:
        sock.close()
        raise
    return sock


def _pools(http_class: type[HTTPConnection], https_class: type[HTTPSConnection]) -> dict[str, Any]:
    return {
        "http": type("HttpPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": http_class}),
        "https": type("HttpsPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": https_class}),
    }


_DIRECT = _pools(_DirectHttp, _DirectHttps)
#: A proxy's address is its administrator's choice, and it resolves the provider's name by itself.
_PROXIED = _pools(_Http, _Https)


class GuardedAdapter(requests.adapters.HTTPAdapter):
    """Makes connections that keep the budget of the call and, unless by a proxy, lead to no forbidden address."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _DIRECT

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _PROXIED
        return manager


def guard(session: requests.Session) -> requests.Session:
    """Make *session* connect through guarded sockets only; returns it."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, GuardedAdapter())
    return session


class _NoQueries(logging.Filter):
    """Cuts the query off what urllib3 logs of our calls: it carries signatures and encrypted requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _CURRENT.get() is not None and isinstance(record.args, tuple):
            record.args = tuple(
                f"{arg.partition('?')[0]}?…" if isinstance(arg, str) and "?" in arg else arg for arg in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_NoQueries())
