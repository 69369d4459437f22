"""Calls whose process is put aside between its last look and the sending, over real sockets: the next keeps away."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from kit import HOUR, FixedClock, hook, serving
from sqlalchemy import URL

from tieout.core.egress import Sending
from tieout.core.errors import SlotMissed, Unreachable
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.http import HttpLimits, call, new_session
from tieout.core.pull import PullPlan, SlicePuller
from tieout.core.quota import SPACING, PostgresQuota, QuotaKey
from tieout.core.slices import Slice
from tieout.providers import feed_spec

INTERVAL = timedelta(seconds=5)
ANSWERS: dict[str, object] = {
    feed_spec("lucko", "bets").endpoint: {"code": 200, "message": "success", "data": {"transactions": [], "total": 0}},
    "/v2/auth": {"code": 0, "message": "", "data": {"accessToken": "token", "expiresIn": 3600}},
    feed_spec("vertexplay", "betlogs").endpoint: {"code": 0, "message": "", "data": []},
}


class Server(ThreadingHTTPServer):
    """Notes at what time of *clock* each request has come whole, and answers when *before_answer* is through."""

    daemon_threads = True

    def __init__(self, clock: FixedClock, before_answer: Callable[[str], object] = lambda endpoint: None) -> None:
        self.arrivals: dict[str, list[float]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                endpoint = self.path.partition("?")[0]
                outer.arrivals.setdefault(endpoint, []).append(clock.ticks)
                before_answer(endpoint)
                answer = json.dumps(ANSWERS.get(endpoint, {})).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# -- two callers of one row -------------------------------------------------------------------------------------


class PutAside(PostgresQuota):
    """Is put aside by the machine behind each of its last looks; ``told`` when a call has left."""

    seconds: float
    told: threading.Event
    ticks: FixedClock

    def confirm(self) -> None:
        super().confirm()
        self.told.clear()
        self.ticks.pass_time(self.seconds)

    def sent(self) -> None:
        super().sent()
        self.told.set()


@pytest.mark.parametrize("late", [0.2, 2.5, 5.0])
@pytest.mark.parametrize(("provider", "name"), [("lucko", "bets"), ("vertexplay", "betlogs")])
def test_call_behind_one_that_left_late_does_not_arrive_too_early(
    warehouse: URL, tmp_path: Path, provider: str, name: str, late: float
) -> None:
    """The second caller comes when the first call has arrived; the first one's answer is still awaited.

    Time passes only when it is slept through or taken from a process: however slow the machine is, the arrivals are
    the same. VertexPlay's calls have a body and one for a token before them, with a row of its own.
    """
    feed, clock, began = feed_spec(provider, name), FixedClock(), datetime.now(UTC)
    told = threading.Event()
    waiting = [lambda: pull(PostgresQuota)]

    def before_answer(endpoint: str) -> None:
        if waiting and endpoint == feed.endpoint:
            assert told.wait(30), "the first call's sending was not told before its answer"
            waiting.pop()()

    def pull(kind: type[PostgresQuota]) -> None:
        with kind(warehouse, clock, database_clock=lambda: began + timedelta(seconds=clock.ticks)) as quota:
            if isinstance(quota, PutAside):
                quota.seconds, quota.told, quota.ticks = late, told, clock
            caller = hook(provider, host=server.url)
            caller.wait_for = lambda endpoint: quota.acquire(
                QuotaKey(provider=provider, endpoint=endpoint, merchant_id=caller.merchant_id), INTERVAL
            )
            SlicePuller(caller=caller, quota=quota, clock=clock, landing=tmp_path).pull(plan(feed, began))

    with serving(Server(clock, before_answer)) as server:
        pull(PutAside)
    assert waiting == []
    assert set(server.arrivals) == ({"/v2/auth", feed.endpoint} if provider == "vertexplay" else {feed.endpoint})
    for first, second in server.arrivals.values():
        assert second - first >= INTERVAL.total_seconds()
    # And not later than it has to.
    first, second = server.arrivals[feed.endpoint]
    assert second - first == pytest.approx(INTERVAL.total_seconds() * SPACING, abs=0.1)


def plan(feed: FeedSpec, now: datetime) -> PullPlan:
    """Ten minutes of yesterday: one call."""
    start = now.replace(minute=0, second=0, microsecond=0) - 30 * HOUR
    slice_ = Slice(start, start + timedelta(minutes=10))
    return PullPlan(feed=feed, agent="acme", slice=slice_, options=FeedOptions(), interval=INTERVAL, lag=feed.lag)


# -- what is told when ------------------------------------------------------------------------------------------


def send(url: str, sending: Sending, body: bytes | None, limits: HttpLimits | None = None) -> None:
    request = requests.Request("GET" if body is None else "POST", f"{url}/api", data=body)
    with new_session() as session:
        call(session, request, clock=FixedClock(), limits=limits, sending=sending)


@pytest.mark.parametrize("body", [None, b"x", b"x" * 4_000_000])
def test_sending_is_told_behind_the_last_byte_and_before_the_answer(body: bytes | None) -> None:
    seen: list[str] = []
    arrived, told = threading.Event(), threading.Event()

    def before_answer(endpoint: str) -> None:
        arrived.set()
        assert told.wait(30)

    def sent() -> None:
        assert arrived.wait(30)
        seen.append("sent")
        told.set()

    with serving(Server(FixedClock(), before_answer)) as server:
        send(server.url, Sending(last_look=lambda: seen.append("last look"), sent=sent), body)
    assert seen == ["last look", "sent"]


def test_sending_that_is_refused_sends_nothing() -> None:
    def refuse() -> None:
        raise SlotMissed("too late.")

    with serving(Server(FixedClock())) as server, pytest.raises(SlotMissed):
        send(server.url, Sending(last_look=refuse), b"x")
    assert server.arrivals == {}


@pytest.mark.parametrize("hangs_up", [True, False])
def test_sending_that_breaks_off_is_told_too(hangs_up: bool) -> None:
    """Who hangs up, or stops reading, has perhaps counted the call."""
    told: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        peers: list[socket.socket] = []

        def accept() -> None:
            peers.append(server.accept()[0])
            if hangs_up:
                peers[0].close()

        with pytest.raises(Unreachable):
            send(
                f"http://127.0.0.1:{server.getsockname()[1]}",
                Sending(last_look=accept, sent=lambda: told.append(True)),
                b"x" * 32_000_000,
                limits=HttpLimits(connect_timeout=0.3),
            )
        peers[0].close()
    assert told == [True]
