"""A connection leads to a provider and nowhere else: not by its host, not by what a name means, not by a redirect."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest
import requests
from kit import FixedClock, hook
from rogue import RogueServer, certificate, whole

from tieout.core import egress
from tieout.core.errors import ConfigError, FatalError, Unreachable
from tieout.core.http import HttpLimits, base_url, call, new_session
from tieout.settings import landing_base

LIMITS = HttpLimits(connect_timeout=2, read_timeout=2, total_timeout=5)


def get(url: str) -> bytes:
    return call(new_session(), requests.Request("GET", url), clock=FixedClock(), limits=LIMITS)


FORBIDDEN = [
    "169.254.169.254", "169.254.0.1", "[fe80::1]", "[fe80::1%25eth0]", "[fd00:ec2::254]", "[fd20:ce::254]",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]", "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]", "metadata.google.internal",
    "Metadata.Google.Internal.", "metadata", "metadata.goog",
]  # fmt: skip


@pytest.mark.parametrize("host", FORBIDDEN)
@pytest.mark.parametrize("scheme", ["https://", "http://", ""])
def test_a_connection_cannot_name_what_is_no_provider(scheme: str, host: str) -> None:
    with pytest.raises(ConfigError, match=r"connection 'acme' names no provider: .+ is ") as caught:
        base_url(f"{scheme}{host}/latest/meta-data", allow_http=True, conn_id="acme")
    assert "latest" not in str(caught.value)


@pytest.mark.parametrize("provider", ["lucko", "hotroad", "jdb", "vertexplay"])
def test_no_provider_is_asked_there(provider: str) -> None:
    for allow_http in (True, "true", False):
        made = hook(provider, host="http://169.254.169.254", extra={"allow_http": allow_http})
        assert made.test_connection() == (
            False,
            "connection 'conn' names no provider: 169.254.169.254 is link-local. Enter the provider's API address.",
        )


@pytest.mark.parametrize(
    "host", ["api.provider.example", "8.8.8.8", "10.1.2.3", "192.168.0.9", "[2001:db8::1]", "localhost", "127.0.0.1"]
)
def test_providers_anywhere_else_are_left_alone(host: str) -> None:
    assert base_url(f"https://{host}") == f"https://{host}"


@pytest.mark.parametrize("name", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"])
def test_a_name_that_means_a_forbidden_address_is_refused_when_it_is_called(name: str) -> None:
    """Names are made of digits here, so that no name server is needed to tell what they mean."""
    url = base_url(f"http://{name}:8000", allow_http=True)
    with pytest.raises(ConfigError, match=r"leads where no provider can be: 169.254.169.254 is link-local"):
        get(f"{url}/latest?sign=s3cret-sign")


def test_the_peer_counts_and_not_what_its_name_meant_before(
    rogue: RogueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that says one thing first and another then is caught by the address connected to."""
    monkeypatch.setattr(egress, "_METADATA", (ipaddress.ip_network("127.0.0.1/32"),))
    with socket.create_connection(("127.0.0.1", rogue.port)) as connection:
        with pytest.raises(egress.ForbiddenAddress):
            egress._checked(connection)
        assert connection.fileno() == -1
    monkeypatch.setattr(egress, "_check_resolved", lambda host, port: None)
    with pytest.raises(ConfigError, match=r"127.0.0.1 is a cloud's metadata service"):
        get(rogue.url)
    assert b"".join(rogue.requests).strip() == b""


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "{self}/elsewhere", "//evil.example/"])
def test_a_redirect_leads_nowhere(rogue: RogueServer, status: str, target: str) -> None:
    rogue.answer = whole(b"{}", f"Location: {target.format(self=rogue.url)}", status=status)
    with pytest.raises(FatalError, match=r"a redirect .* refused") as caught:
        get(f"{rogue.url}/api?sign=s3cret-sign")
    assert len(rogue.requests) == 1
    assert "evil" not in str(caught.value)
    assert "169.254" not in str(caught.value)


def test_a_proxy_of_the_environment_is_its_administrators_choice(
    rogue: RogueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used, under the same bounds; a connection still cannot ask it for a forbidden host by name."""
    monkeypatch.setattr(egress, "_METADATA", (ipaddress.ip_network("127.0.0.1/32"),))
    monkeypatch.setenv("http_proxy", rogue.url)
    monkeypatch.setenv("no_proxy", "")
    assert get("http://provider.example/api") == b"{}"
    assert rogue.requests[0].startswith(b"GET http://provider.example/api HTTP/1.1\r\n")
    with pytest.raises(ConfigError):
        base_url("http://metadata.google.internal", allow_http=True)
    rogue.answer = rogue.drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05)
    with pytest.raises(Unreachable, match=r"did not end within 0.5 s"):
        call(
            new_session(), requests.Request("GET", "http://provider.example/"), clock=FixedClock(),
            limits=HttpLimits(total_timeout=0.5),
        )  # fmt: skip


@pytest.mark.parametrize("login", ["two\r\nHost: evil.example", "a\nb", " agent", "agent\t", "a\u202eb", "x" * 256])
@pytest.mark.parametrize("provider", ["lucko", "hotroad", "jdb", "vertexplay"])
def test_an_agents_id_cannot_forge_headers_or_log_lines(provider: str, login: str) -> None:
    made = hook(provider, login=login, extra={"agent_id": login} if provider == "hotroad" else {})
    with pytest.raises(ConfigError, match="cannot be printed") as caught:
        made.merchant_id  # noqa: B018
    assert "\n" not in str(caught.value)
    assert "\u202e" not in str(caught.value)


def test_an_agents_id_that_no_header_can_carry_is_a_matter_of_configuration(rogue: RogueServer) -> None:
    made = hook("vertexplay", host=rogue.url, login="агент")
    with pytest.raises(ConfigError, match="cannot be sent in a header"):
        made.probe()
    assert b"".join(rogue.requests).strip() == b""


@pytest.mark.parametrize(
    ("base", "accepted"),
    [
        ("s3://aws_default@bucket/tieout", True), ("file:///var/landing", True), ("/var/land:ing@x", True),
        ("gs://bucket/a:b@c", True), ("s3://AKIA:s3cret-key@bucket/tieout", False), ("s3://:s3cret-key@bucket", False),
    ],
)  # fmt: skip
def test_the_landing_base_carries_no_password(base: str, accepted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIEOUT_LANDING", base)
    if accepted:
        assert landing_base() == base
        return
    with pytest.raises(ConfigError, match="carries a password") as caught:
        landing_base()
    assert "s3cret" not in str(caught.value)


def test_bounds_hold_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path / "rogue.pem")
    with RogueServer(pem) as server:
        with pytest.raises(FatalError, match=r"TLS certificate of .* cannot be verified"):
            get(server.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
        assert get(server.url) == b"{}"
        server.answer = server.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"x", 0.05)
        with pytest.raises(Unreachable, match=r"did not end within 0.5 s"):
            call(
                new_session(), requests.Request("GET", server.url), clock=FixedClock(),
                limits=HttpLimits(total_timeout=0.5),
            )  # fmt: skip
        monkeypatch.setattr(egress, "_METADATA", (ipaddress.ip_network("127.0.0.1/32"),))
        with pytest.raises(ConfigError, match="leads where no provider can be"):
            get(server.url)
