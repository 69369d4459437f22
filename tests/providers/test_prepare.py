"""What a hook does before its call is due: everything that takes time, and nothing a provider would count."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import pytest
import requests
import urllib3.connection
from kit import hook, simulated

from simulator import RunningServer
from tieout.core.egress import Sending
from tieout.core.errors import ConfigError, SlotMissed, Unreachable
from tieout.core.feed import FeedOptions
from tieout.core.slices import Slice, Window
from tieout.providers import FEEDS

OPTIONS = FeedOptions(currency="CNY", g_types=("0",))


def window(feed_id: str) -> Window:
    feed = FEEDS[feed_id]
    days = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=5) + feed.slice_anchor
    return next(iter(feed.windows(Slice(days, days + feed.slice_width), OPTIONS)))


def counted(server: RunningServer) -> dict[str, int]:
    return {row["endpoint"]: row["calls"] for row in server.simulator.ledger.report()}


@pytest.mark.parametrize("feed_id", sorted(FEEDS))
def test_preparing_sends_nothing_but_for_a_token(sim: RunningServer, feed_id: str) -> None:
    feed = FEEDS[feed_id]
    made = simulated(sim, feed.provider)
    for _ in range(3):
        made.prepare(feed, window(feed_id), 0)
    assert counted(sim) == ({"auth": 1} if feed.provider == "vertexplay" else {})
    feed.read_page(made.fetch(feed, window(feed_id), 0))
    assert sum(counted(sim).values()) == (2 if feed.provider == "vertexplay" else 1)


@pytest.mark.parametrize("feed_id", sorted(FEEDS))
def test_call_finds_its_connection_open(sim: RunningServer, monkeypatch: pytest.MonkeyPatch, feed_id: str) -> None:
    feed = FEEDS[feed_id]
    made = simulated(sim, feed.provider)
    made.prepare(feed, window(feed_id), 0)

    def refuse(*args: object) -> None:
        raise AssertionError("a connection was opened by the call")

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", refuse)
    feed.read_page(made.fetch(feed, window(feed_id), 0))


@pytest.mark.parametrize("feed_id", sorted(FEEDS))
def test_last_look_comes_after_signing_and_before_sending(sim: RunningServer, feed_id: str) -> None:
    feed = FEEDS[feed_id]
    made = simulated(sim, feed.provider)
    made.prepare(feed, window(feed_id), 0)
    before = counted(sim)
    signed: list[requests.PreparedRequest] = []
    session = made.get_conn()
    auth = session.auth
    assert callable(auth)

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        signed.append(request)
        done: requests.PreparedRequest = auth(request)
        return done

    def refuse() -> None:
        assert len(signed) == 1
        raise SlotMissed("too late.")

    session.auth = sign
    made.sending = Sending(last_look=refuse)
    with pytest.raises(SlotMissed):
        made.fetch(feed, window(feed_id), 0)
    assert len(signed) == 1
    assert counted(sim) == before


def test_what_is_missing_in_the_connection_is_said_before_anything_is_waited_for() -> None:
    with pytest.raises(ConfigError, match="no password"):
        hook("lucko", password="").prepare(FEEDS["lucko__bets"], window("lucko__bets"), 0)


def test_provider_out_of_reach_is_said_before_anything_is_waited_for() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        made = hook("lucko", host=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(Unreachable, match="no complete answer from"):
            made.prepare(FEEDS["lucko__bets"], window("lucko__bets"), 0)
