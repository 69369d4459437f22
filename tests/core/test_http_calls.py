"""Calls over real sockets: what is refused, what is retried, and what no error ever shows."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from kit import FIXED_NOW, FixedClock

from tieout.core.errors import FatalError, Throttled, TieoutError, Unreachable
from tieout.core.http import MAX_RETRY_AFTER, HttpLimits, NotAuthorised, call, new_session

Answer = Callable[[BaseHTTPRequestHandler], None]
SECRET = "0123456789abcdef-signature"
LIMITS = HttpLimits(connect_timeout=2, read_timeout=5, max_body=100_000)


class Server:
    """An HTTP server that gives one programmed answer and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = reply(200, b"{}")
        self.requests: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                self.close_connection = True
                outer.answer(self)

            def log_message(self, *args: object) -> None:
                logging.getLogger(__name__).debug("%s", args)

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def get(self, limits: HttpLimits = LIMITS, auth: requests.auth.AuthBase | None = None) -> bytes:
        request = requests.Request("GET", f"{self.url}/api", params={"sign": SECRET})
        return call(new_session(auth), request, clock=FixedClock(), limits=limits)


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.httpd.shutdown()
    running.httpd.server_close()
    running.thread.join()


def refused(server: Server, limits: HttpLimits = LIMITS) -> TieoutError:
    """Return the error of a call, after making sure that it shows no secret anywhere."""
    with pytest.raises(TieoutError) as caught:
        server.get(limits)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value)
    assert SECRET not in shown
    assert "sign=" not in shown
    assert server.url.removeprefix("http://") in str(caught.value)
    return caught.value


def test_body_comes_back(server: Server) -> None:
    server.answer = reply(200, b'{"code": 200}')
    assert server.get() == b'{"code": 200}'
    path, headers = server.requests[0]
    assert path == f"/api?sign={SECRET}"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"] == "tieout"


def test_gzip_is_decoded(server: Server) -> None:
    server.answer = reply(200, gzip.compress(b'{"code": 200}'), Content_Encoding="gzip")
    assert server.get() == b'{"code": 200}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_refused_and_not_followed(server: Server, status: int) -> None:
    server.answer = reply(status, Location=f"{server.url}/elsewhere?sign={SECRET}")
    error = refused(server)
    assert type(error) is FatalError
    assert f"redirect (HTTP {status})" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAuthorised), (403, NotAuthorised), (400, FatalError), (404, FatalError), (405, FatalError),
        (418, FatalError), (204, FatalError), (408, Unreachable), (500, Unreachable), (502, Unreachable),
        (503, Unreachable), (504, Unreachable), (429, Throttled),
    ],
)  # fmt: skip
def test_status_has_its_class(server: Server, status: int, kind: type[TieoutError]) -> None:
    server.answer = reply(status)
    error = refused(server)
    assert type(error) is kind
    assert f"HTTP {status}" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("value", "delay"),
    [
        ("17", timedelta(seconds=17)),
        ("0", timedelta(0)),
        ("99999999", MAX_RETRY_AFTER),
        ("9" * 5000, None),
        (format_datetime(FIXED_NOW.replace(microsecond=0) + timedelta(minutes=3), usegmt=True), timedelta(minutes=3)),
        (format_datetime(FIXED_NOW - timedelta(hours=1), usegmt=True), timedelta(0)),
        (format_datetime(datetime(9999, 1, 1, tzinfo=UTC), usegmt=True), MAX_RETRY_AFTER),
        ("soon", None),
        ("-5", None),
        ("\u00b2", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(server: Server, status: int, value: str, delay: timedelta | None) -> None:
    server.answer = reply(status, Retry_After=value)
    error = refused(server)
    assert isinstance(error, (Throttled, Unreachable))
    if delay == timedelta(minutes=3):
        assert error.delay is not None
        assert abs(error.delay - delay) < timedelta(seconds=1)
    else:
        assert error.delay == delay


def test_retry_after_absent(server: Server) -> None:
    server.answer = reply(429)
    error = refused(server)
    assert isinstance(error, Throttled)
    assert error.delay is None


def test_body_at_the_bound_is_read_and_one_byte_more_is_not(server: Server) -> None:
    server.answer = reply(200, b"x" * LIMITS.max_body)
    assert len(server.get()) == LIMITS.max_body
    server.answer = reply(200, b"x" * (LIMITS.max_body + 1))
    error = refused(server)
    assert type(error) is Unreachable
    assert "larger than 100000 bytes" in str(error)


def test_gzip_bomb_is_stopped(server: Server) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < LIMITS.max_body
    server.answer = reply(200, bomb, Content_Encoding="gzip")
    assert "larger than 100000 bytes" in str(refused(server))


def test_endless_body_is_stopped(server: Server) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            return

    server.answer = endless
    assert "larger than 100000 bytes" in str(refused(server))


def test_body_shorter_than_promised_is_retried(server: Server) -> None:
    server.answer = reply(200, b'{"code": 200, "da', Content_Length="5000")
    error = refused(server)
    assert type(error) is Unreachable
    assert "no complete answer from" in str(error)


def test_damaged_gzip_is_retried(server: Server) -> None:
    server.answer = reply(200, b"this is not gzip", Content_Encoding="gzip")
    assert type(refused(server)) is Unreachable


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<!DOCTYPE html><p>maintenance", {}),
        (b"\n  <HTML><body>blocked", {"Content_Type": "application/json"}),
        (b"ok", {"Content_Type": "text/html; charset=utf-8"}),
    ],
)
def test_html_with_200_is_retried(server: Server, body: bytes, headers: dict[str, str]) -> None:
    server.answer = reply(200, body, **headers)
    error = refused(server)
    assert type(error) is Unreachable
    assert "HTML page instead of JSON" in str(error)


def test_silent_server_times_out(server: Server) -> None:
    done = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        done.wait(20)

    server.answer = silent
    error = refused(server, HttpLimits(connect_timeout=1, read_timeout=0.2))
    done.set()
    assert type(error) is Unreachable
    assert "ReadTimeout" in str(error)


def test_server_that_stops_half_way_times_out(server: Server) -> None:
    done = threading.Event()

    def half(handler: BaseHTTPRequestHandler) -> None:
        reply(200, b"{", Content_Length="10")(handler)
        handler.wfile.flush()
        done.wait(20)

    server.answer = half
    error = refused(server, HttpLimits(connect_timeout=1, read_timeout=0.2))
    done.set()
    assert type(error) is Unreachable


def test_connection_cut_is_retried(server: Server) -> None:
    server.answer = lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)
    assert type(refused(server)) is Unreachable


def test_closed_port_is_retried(server: Server) -> None:
    server.httpd.server_close()
    assert type(refused(server)) is Unreachable


def test_plain_server_behind_https_is_a_matter_of_configuration(server: Server) -> None:
    request = requests.Request("GET", server.url.replace("http:", "https:") + "/api", params={"sign": SECRET})
    with pytest.raises(TieoutError) as caught:
        call(new_session(), request, clock=FixedClock(), limits=LIMITS)
    assert type(caught.value) is FatalError
    assert "TLS certificate" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_json_that_calls_itself_html_is_json(server: Server) -> None:
    server.answer = reply(200, b' {"status":"0000","data":[]}', Content_Type="text/html;charset=UTF-8")
    assert server.get() == b' {"status":"0000","data":[]}'


def test_server_that_hangs_up_during_the_handshake_is_restarting() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1)
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        request = requests.Request("GET", f"https://127.0.0.1:{listener.getsockname()[1]}/api")
        with pytest.raises(Unreachable):
            call(new_session(), request, clock=FixedClock(), limits=LIMITS)
        thread.join()


def test_netrc_is_ignored(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login intruder password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert requests.utils.get_netrc_auth(server.url) == ("intruder", "stolen")
    server.get()
    server.get(auth=requests.auth.HTTPBasicAuth("agent", "key"))
    assert [headers.get("Authorization") for _, headers in server.requests] == [None, "Basic YWdlbnQ6a2V5"]


def test_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    request = requests.Request("GET", "http://provider.invalid/api")
    assert call(new_session(), request, clock=FixedClock(), limits=LIMITS) == b"{}"
    assert server.requests[0][0] == "http://provider.invalid/api"
