"""From an Airflow connection to calls the simulator accepts, and to sentences when it does not."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit import FIXED_NOW, HOUR, FixedClock, hook, simulated

import simulator
from simulator import FaultSpec, RunningServer, SimConfig, VertexPlayAgent
from tieout.core.clock import from_epoch_ms
from tieout.core.errors import ConfigError, FatalError, Throttled, Unreachable
from tieout.core.http import NotAuthorised
from tieout.core.slices import Slice, Window
from tieout.providers import HOOKS, feed_spec
from tieout.providers.vertexplay import EARLY, VertexPlayHook, jwt_expiry

PROVIDERS = sorted(HOOKS)
BETLOGS = feed_spec("vertexplay", "betlogs")


def recent_window(minutes: int = 10) -> Window:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 24 * HOUR
    return Window(Slice(start, start + timedelta(minutes=minutes)))


# -- connections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "changes", "named"),
    [
        ("lucko", {"host": None}, "no host"),
        ("lucko", {"login": None}, "no login (agent id)"),
        ("lucko", {"password": ""}, "no password (sign key)"),
        ("hotroad", {"host": ""}, "no host"),
        ("hotroad", {"password": None}, "no password"),
        ("hotroad", {"extra": {"agent_id": None}}, "no extra field agent_id"),
        ("jdb", {"login": ""}, "no login (parent)"),
        ("jdb", {"password": None}, "no password (AES key)"),
        ("jdb", {"extra": {"dc": None}}, "no extra field dc"),
        ("jdb", {"extra": {"dc": ""}}, "no extra field dc"),
        ("jdb", {"extra": {"iv_secret": None}}, "no extra field iv_secret"),
        ("vertexplay", {"login": None}, "no login (agentId)"),
        ("vertexplay", {"password": None}, "no password (secret)"),
        ("vertexplay", {"extra": {"api_key": None}}, "no extra field api_key"),
    ],
)
def test_missing_field_is_named_with_its_connection(provider: str, changes: dict[str, Any], named: str) -> None:
    working, sentence = hook(provider, **changes).test_connection()
    assert not working
    assert "connection 'conn'" in sentence
    assert named in sentence


@pytest.mark.parametrize("provider", PROVIDERS)
def test_merchant_id_is_the_providers_own_id(provider: str) -> None:
    assert hook(provider).merchant_id == ("a1" if provider == "hotroad" else "merchant")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_session_signs_and_trusts_no_environment(provider: str) -> None:
    made = hook(provider)
    session = made.get_conn()
    assert session is made.get_conn()
    assert session.auth is not None
    assert session.trust_env is False
    assert session.verify is True


@pytest.mark.parametrize("host", ["http://api.example", "http://10.0.0.8:8080/base", "http://[2001:db8::1]"])
def test_plain_http_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"'conn' asks for plain http to .* would travel unencrypted"):
        _ = hook("lucko", host=host).url


@pytest.mark.parametrize(
    ("host", "extra", "url"),
    [
        ("http://127.0.0.1:8099", {}, "http://127.0.0.1:8099"),
        ("http://localhost/base/", {}, "http://localhost/base"),
        ("http://[::1]:8099", {}, "http://[::1]:8099"),
        ("http://api.example", {"allow_http": True}, "http://api.example"),
        ("http://api.example", {"allow_http": "true"}, "http://api.example"),
        ("api.example", {}, "https://api.example"),
        ("api.example:8443", {}, "https://api.example:8443"),
        ("https://api.example/v1/", {}, "https://api.example/v1"),
    ],
)
def test_host_becomes_a_base_url(host: str, extra: dict[str, Any], url: str) -> None:
    assert hook("lucko", host=host, extra=extra).url == url


def test_port_field_counts_unless_the_host_has_one() -> None:
    assert hook("lucko", host="api.example", port=8443).url == "https://api.example:8443"
    assert hook("lucko", host="api.example:1", port=8443).url == "https://api.example:1"


@pytest.mark.parametrize("allow", [False, "false", "no", "", None, 0])
def test_allow_http_must_say_yes(allow: object) -> None:
    with pytest.raises(ConfigError, match="plain http"):
        _ = hook("lucko", host="http://api.example", extra={"allow_http": allow}).url


@pytest.mark.parametrize(
    "host",
    ["ftp://api.example", "https://", "https://u:pass-word@api.example", "https://api.example/?q=1",
     "https://api.example:99999", "https://[api.example", "https://api.example/#x"],
)  # fmt: skip
def test_host_that_is_no_address_is_refused_without_showing_credentials(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = hook("lucko", host=host).url
    assert "'conn'" in str(caught.value)
    assert "pass-word" not in str(caught.value)


# -- test_connection against the simulator ----------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connection_with_the_right_key(sim: RunningServer, provider: str) -> None:
    made = simulated(sim, provider)
    assert made.test_connection() == (
        True,
        f"{made.hook_name} answered and accepted the signature of merchant {made.merchant_id}.",
    )


@pytest.mark.parametrize(
    ("provider", "changes", "said"),
    [
        ("lucko", {"password": "wrong-key"}, "code 600100 (signature not accepted)"),
        ("lucko", {"login": "nobody"}, "code 700101 (no such merchant)"),
        ("hotroad", {"password": "wrong-key"}, "HTTP 401: the credentials were not accepted"),
        ("jdb", {"password": "wrong-key-0000000"[:16]}, "code 9006 (the request could not be decrypted)"),
        ("jdb", {"extra": {"dc": "elsewhere"}}, "code 9003 (the domain was refused)"),
        ("vertexplay", {"password": "wrong-key"}, "code 10 (the agent was refused)"),
        ("vertexplay", {"extra": {"api_key": "ab" * 32}}, "code 84 (encryption not accepted)"),
        ("vertexplay", {"extra": {"signature_form": "concat_body"}}, "code 83 (signature not accepted)"),
    ],
)
def test_connection_with_a_wrong_key(sim: RunningServer, provider: str, changes: dict[str, Any], said: str) -> None:
    working, sentence = simulated(sim, provider, **changes).test_connection()
    assert not working
    assert said in sentence
    assert "wrong-key" not in sentence


@pytest.mark.parametrize("fault", ["throttle", "http_429"])
@pytest.mark.parametrize("provider", ["lucko", "jdb", "vertexplay"])
def test_throttled_connection_still_proves_the_credentials(sim: RunningServer, provider: str, fault: str) -> None:
    sim.simulator.faults.add(FaultSpec(name=fault, provider=provider, seconds=7))
    working, sentence = simulated(sim, provider).test_connection()
    assert working
    assert sentence.startswith("Credentials accepted; the quota is used up at the moment (")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connection_to_a_closed_port(provider: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    working, sentence = hook(provider, host=f"http://127.0.0.1:{port}").test_connection()
    assert not working
    assert f"no complete answer from 127.0.0.1:{port}" in sentence


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connection_to_a_wrong_host(provider: str) -> None:
    working, sentence = hook(provider, host="https://no-such-host.invalid").test_connection()
    assert not working
    assert "no complete answer from no-such-host.invalid" in sentence


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connection_to_something_else_that_answers(sim: RunningServer, provider: str) -> None:
    working, sentence = simulated(sim, provider, host=f"{sim.url}/elsewhere").test_connection()
    assert not working
    assert "HTTP 404" in sentence


@pytest.mark.parametrize("padding", ["space", "nul", "pkcs7"])
def test_jdb_paddings_are_accepted(padding: str) -> None:
    agents = tuple(
        replace(agent, padding=padding) if isinstance(agent, simulator.JdbAgent) else agent
        for agent in simulator.DEFAULT_AGENTS
    )
    with simulator.serve(SimConfig(quota_scale=0, agents=agents)) as server:
        assert simulated(server, "jdb").test_connection()[0]
        other = "pkcs7" if padding == "space" else "space"
        assert not simulated(server, "jdb", extra={"padding": other}).test_connection()[0]


def test_vertexplay_concatenated_signature_is_accepted() -> None:
    agent = VertexPlayAgent(agent_id="va", secret="s", api_key="cd" * 32, signature="concat")
    with simulator.serve(SimConfig(quota_scale=0, agents=(agent,))) as server:
        made = simulated(server, "vertexplay", extra={"signature_form": "concat_body"})
        assert made.test_connection()[0]
        assert BETLOGS.read_page(made.fetch(BETLOGS, recent_window(), 0)).total is None


# -- VertexPlay's token -----------------------------------------------------------------------------------------


def tokens_asked(server: RunningServer) -> int:
    report = server.simulator.ledger.report()
    return sum(row["accepted"] for row in report if (row["provider"], row["endpoint"]) == ("vertexplay", "auth"))


@dataclass
class Vertex:
    """A simulator and a hook whose clock both are moved by the test."""

    server: RunningServer
    hook: VertexPlayHook
    clock: FixedClock

    def read(self) -> int:
        start = (self.clock.now() - 24 * HOUR).replace(minute=0, second=0, microsecond=0)
        window = Window(Slice(start, start + timedelta(minutes=10)))
        return len(BETLOGS.read_page(self.hook.fetch(BETLOGS, window, 0)).rows)


@pytest.fixture
def vertex() -> Iterator[Vertex]:
    clock = FixedClock(FIXED_NOW)
    config = SimConfig(seed=3, quota_scale=0, token_seconds=3600)

    def wall() -> int:
        return int(clock.now().timestamp() * 1000)

    with simulator.serve(config, wall=wall) as server:
        made = simulated(server, "vertexplay", clock=clock)
        assert isinstance(made, VertexPlayHook)
        yield Vertex(server, made, clock)


def test_token_is_kept_and_renewed_before_it_ends(vertex: Vertex) -> None:
    assert vertex.read() > 0
    vertex.read()
    assert tokens_asked(vertex.server) == 1
    vertex.clock.pass_time(3600 - EARLY.total_seconds() - 1)
    vertex.read()
    assert tokens_asked(vertex.server) == 1
    vertex.clock.pass_time(1)
    vertex.read()
    assert tokens_asked(vertex.server) == 2
    betlogs = next(row for row in vertex.server.simulator.ledger.report() if row["endpoint"] == "betlogs")
    assert (betlogs["accepted"], betlogs["rejected"]) == (4, 0)


def test_token_refused_is_renewed_once(vertex: Vertex) -> None:
    vertex.server.simulator.faults.add(FaultSpec(name="token_expired", next=1))
    assert vertex.read() > 0
    assert tokens_asked(vertex.server) == 2


def test_token_refused_twice_is_fatal(vertex: Vertex) -> None:
    vertex.server.simulator.faults.add(FaultSpec(name="token_expired", next=2))
    with pytest.raises(NotAuthorised, match="HTTP 401"):
        vertex.read()
    assert tokens_asked(vertex.server) == 2


def test_a_new_token_costs_a_new_instant(vertex: Vertex) -> None:
    waits: list[str] = []
    vertex.hook.wait_for = waits.append
    vertex.read()
    vertex.read()
    assert waits == ["/v2/auth", "/v2/betlogs"]


def test_short_lived_token_is_used_for_half_its_life() -> None:
    clock = FixedClock(FIXED_NOW)
    config = SimConfig(seed=3, quota_scale=0, token_seconds=60)
    with simulator.serve(config, wall=lambda: int(clock.now().timestamp() * 1000)) as server:
        made = simulated(server, "vertexplay", clock=clock)
        made.fetch(BETLOGS, Window(Slice(FIXED_NOW - HOUR, FIXED_NOW - HOUR + timedelta(minutes=1))), 0)
        assert isinstance(made, VertexPlayHook)
        ends = made._token_ends
        assert ends is not None
        assert timedelta(seconds=29) <= ends - FIXED_NOW <= timedelta(seconds=30)


def token_answer(expires_in: int, exp: object) -> bytes:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=")
    data = {"accessToken": f"e30.{claims}.x", "expiresIn": expires_in, "tokenType": "Bearer"}
    return json.dumps({"code": 0, "message": "No error.", "data": data}).encode()


def test_exp_of_the_token_counts_when_it_is_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    made = hook("vertexplay", clock=FixedClock(FIXED_NOW))
    assert isinstance(made, VertexPlayHook)
    exp = int(FIXED_NOW.timestamp()) + 1800
    monkeypatch.setattr(made, "send", lambda request: token_answer(3600, exp))
    made._ensure_token()
    assert made._token_ends == from_epoch_ms(exp * 1000) - EARLY


@pytest.mark.parametrize(
    "token",
    ["opaque", "a.b", "a.!!.c", "e30.e30.x", "e30.W10.x", "e30.eyJleHAiOiAieCJ9.x", "e30.eyJleHAiOiAxZTMwMH0.x",
     "e30.eyJleHAiOiBudWxsfQ.x", ""],
)  # fmt: skip
def test_token_without_a_readable_exp(token: str) -> None:
    assert jwt_expiry(token) is None


def test_token_is_masked_in_logs(vertex: Vertex, monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr("tieout.providers.base.mask_secret", masked.extend)
    vertex.read()
    assert vertex.hook._token in masked


# -- HotRoad's configurable codes -------------------------------------------------------------------------------


def test_hotroad_unknown_code_is_fatal_unless_declared_retryable(sim: RunningServer) -> None:
    spec = feed_spec("hotroad", "summary")
    window = recent_window(minutes=60)
    sim.simulator.faults.add(FaultSpec(name="throttle", provider="hotroad", next=2))
    with pytest.raises(FatalError, match="undocumented code '1004'"):
        spec.read_page(simulated(sim, "hotroad").fetch(spec, window, 0))
    with pytest.raises(Unreachable, match="code 1004") as caught:
        simulated(sim, "hotroad", extra={"retry_codes": [1004]}).fetch(spec, window, 0)
    assert caught.value.delay is None


def test_lucko_answers_a_throttle_as_such(sim: RunningServer) -> None:
    bets = feed_spec("lucko", "bets")
    sim.simulator.faults.add(FaultSpec(name="throttle", provider="lucko"))
    with pytest.raises(Throttled, match="408004"):
        bets.read_page(simulated(sim, "lucko").fetch(bets, recent_window(), 0))
