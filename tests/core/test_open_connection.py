"""Connections opened before they are needed: over TLS, through a proxy, again when the server has closed them."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import itertools
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kit import HOUR, FixedClock, hook, serving
from sqlalchemy import URL

from tieout.core import quota as quota_module
from tieout.core.clock import SystemClock
from tieout.core.errors import FatalError, Unreachable
from tieout.core.feed import FeedOptions
from tieout.core.http import HttpLimits, call, new_session, open_connection
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.quota import PostgresQuota
from tieout.core.slices import Slice
from tieout.providers import feed_spec

LIMITS = HttpLimits(connect_timeout=5, read_timeout=5)
#: Seconds a handshake takes with the servers here, as if they were far away. Nothing is asked to be faster: whether a
#: call opens a connection is what the server counts, and a machine may stand still for as long.
FAR = 0.3
EMPTY_BETS = json.dumps({"code": 200, "message": "success", "data": {"transactions": [], "total": 0}}).encode()


class Server(ThreadingHTTPServer):
    """An HTTP server that notes connections and requests; over TLS with *context*, with slow handshakes."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None, *, idle: float = 30, handshake: float = FAR) -> None:
        self.context = context
        self.handshake = handshake
        self.connections = 0
        self.closed = threading.Event()
        self.arrivals: list[float] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = idle

            def do_GET(self) -> None:
                outer.arrivals.append(time.monotonic())
                self.send_response(200)
                self.send_header("Content-Length", str(len(EMPTY_BETS)))
                self.end_headers()
                self.wfile.write(EMPTY_BETS)

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.server_port}"

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        if self.context is not None:
            time.sleep(self.handshake)
            request = self.context.wrap_socket(request, server_side=True)
        with contextlib.suppress(OSError):
            super().finish_request(request, client_address)
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        request.close()
        self.closed.set()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1 and provider.test, and the file that makes a client trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider.test")])
    now = datetime.datetime.now(datetime.UTC)
    known_as = [x509.DNSName("provider.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known_as), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(public + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tls: tuple[ssl.SSLContext, Path]) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[1]))


def get(session: requests.Session, url: str) -> bytes:
    return call(session, requests.Request("GET", f"{url}/api"), clock=FixedClock(), limits=LIMITS)


def seconds(done: Callable[[], object]) -> float:
    began = time.monotonic()
    done()
    return time.monotonic() - began


def test_call_uses_the_connection_that_was_opened(tls: tuple[ssl.SSLContext, Path]) -> None:
    with serving(Server(tls[0])) as server, new_session() as session:
        assert seconds(lambda: open_connection(session, server.url, limits=LIMITS)) >= FAR
        assert (server.connections, server.arrivals) == (1, [])
        get(session, server.url)
        open_connection(session, server.url, limits=LIMITS)
        get(session, server.url)
        assert (server.connections, len(server.arrivals)) == (1, 2)


@pytest.mark.parametrize("secure", [True, False])
def test_connection_that_the_server_closed_is_opened_again(tls: tuple[ssl.SSLContext, Path], secure: bool) -> None:
    with serving(Server(tls[0] if secure else None, idle=0.05)) as server, new_session() as session:
        open_connection(session, server.url, limits=LIMITS)
        assert server.closed.wait(10)
        server.RequestHandlerClass.timeout = 30  # type: ignore[attr-defined]
        open_connection(session, server.url, limits=LIMITS)
        assert get(session, server.url) == EMPTY_BETS
        assert server.connections == 2


class Proxy(ThreadingHTTPServer):
    """An HTTP proxy that resolves every name to 127.0.0.1."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                outer.asked.append(self.path)
                with socket.create_connection(("127.0.0.1", int(self.path.rsplit(":", 1)[1]))) as onward:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=pipe, args=(onward, self.connection), daemon=True)
                    back.start()
                    pipe(self.connection, onward)
                    back.join()

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


def pipe(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def test_tunnel_through_a_proxy_is_opened_too(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Server(tls[0])) as server, serving(Proxy()) as proxy, new_session() as session:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_port}")
        url = f"https://provider.test:{server.server_port}"
        open_connection(session, url, limits=LIMITS)
        assert proxy.asked == [f"provider.test:{server.server_port}"]
        assert (server.connections, server.arrivals) == (1, [])
        get(session, url)
        assert len(proxy.asked) == server.connections == len(server.arrivals) == 1


def test_proxy_that_refuses_is_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Server()) as no_proxy, new_session() as session:
        monkeypatch.setenv("https_proxy", no_proxy.url)
        with pytest.raises(Unreachable, match=r"no complete answer from provider\.test"):
            open_connection(session, "https://provider.test", limits=LIMITS)


def test_closed_port_is_no_way() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with new_session() as session, pytest.raises(Unreachable, match=r"no complete answer from 127\.0\.0\.1"):
        open_connection(session, f"http://127.0.0.1:{port}", limits=LIMITS)


def test_server_that_never_shakes_hands_times_out() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        limits = HttpLimits(connect_timeout=0.2, read_timeout=60)
        with new_session() as session, pytest.raises(Unreachable):
            open_connection(session, f"https://127.0.0.1:{silent.getsockname()[1]}", limits=limits)


def test_server_that_nobody_vouches_for_is_a_matter_of_configuration(
    tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with (
        serving(Server(tls[0])) as server,
        new_session() as session,
        pytest.raises(FatalError, match="cannot be verif"),
    ):
        open_connection(session, server.url, limits=LIMITS)


def test_first_call_arrives_as_punctually_as_the_next(
    tls: tuple[ssl.SSLContext, Path],
    warehouse: URL,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sent on a connection yet to be opened, the first call would arrive a handshake late, the next one too early.

    Every call is looked at last on an open connection: one that opens its own is too late for each of its slots.
    """
    # A machine that stands still now and then is not too late ten times in a row; to be always too late ends soon.
    monkeypatch.setattr(quota_module, "MAX_SLOTS_GIVEN_UP", 10)
    bets = feed_spec("lucko", "bets")
    start = datetime.datetime.now(datetime.UTC).replace(minute=0, second=0, microsecond=0) - 30 * HOUR
    interval = datetime.timedelta(seconds=1)
    with (
        caplog.at_level(logging.INFO, logger="tieout.core.pull"),
        serving(Server(tls[0], handshake=1.0)) as server,
        PostgresQuota(warehouse, SystemClock()) as quota,
    ):
        puller = SlicePuller(caller=hook("lucko", host=server.url), quota=quota, clock=SystemClock(), landing=tmp_path)
        for number in range(3):
            slice_ = Slice(start + number * HOUR, start + (number + 1) * HOUR)
            puller.pull(
                PullPlan(feed=bets, agent="acme", slice=slice_, options=FeedOptions(), interval=interval, lag=bets.lag)
            )
        gaps = [later - earlier for earlier, later in itertools.pairwise(server.arrivals)]
        # A call that is too late for its slot is not sent, and urllib3 throws its connection away.
        missed = [
            one
            for one in caplog.records
            if one.name == "tieout.core.pull" and "too late for its slot" in one.getMessage()
        ]
        assert server.connections <= 1 + len(missed)
    assert len(gaps) == 2
    assert min(gaps) > interval.total_seconds() / 2
