"""Signatures and ciphers against golden vectors, as functions and as what stands on the wire."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from kit import FixedClock, hook

from simulator import crypto
from tieout.core.clock import EPOCH
from tieout.core.errors import ConfigError
from tieout.providers import jdb, lucko, vertexplay

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parents[1] / "vectors.json").read_text())
VP = VECTORS["vertexplay"][0]
VP_KEY = bytes.fromhex(VP["key_hex"])


def clock_at(milliseconds: str | int) -> FixedClock:
    return FixedClock(EPOCH + timedelta(milliseconds=int(milliseconds)))


def wire(auth: requests.auth.AuthBase, request: requests.Request) -> requests.PreparedRequest:
    """Return the request as a session would send it."""
    session = requests.Session()
    session.auth = auth
    return session.prepare_request(request)


# -- Lucko ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["lucko"], ids=["published", "empty-dropped"])
def test_lucko_vector(vector: dict[str, Any]) -> None:
    assert lucko.canonical(vector["params"]) == vector["signed"]
    assert lucko.sign(vector["params"], vector["key"]) == vector["sign"]


@pytest.mark.parametrize("vector", VECTORS["lucko"], ids=["published", "empty-dropped"])
def test_lucko_on_the_wire(vector: dict[str, Any]) -> None:
    params = {key: value for key, value in vector["params"].items() if key not in ("agent_id", "timestamp")}
    auth = lucko.LuckoAuth(agent_id="agent001", key=vector["key"], clock=clock_at(vector["params"]["timestamp"]))
    sent = wire(auth, requests.Request("GET", "https://provider.example/x", params=params))
    query = dict(parse_qsl(urlsplit(str(sent.url)).query, keep_blank_values=True))
    assert query.pop("sign") == vector["sign"]
    assert query == vector["params"]


def test_lucko_zero_is_signed_and_empty_is_not() -> None:
    assert lucko.canonical({"start": "0", "status": "", "sign": "x", "count": "1"}) == "count=1&start=0"


def test_lucko_sorts_by_ascii_not_by_letter() -> None:
    assert lucko.canonical({"b": "1", "B": "2", "_": "3", "a": "4"}) == "B=2&_=3&a=4&b=1"


def test_lucko_signs_raw_values_and_sends_them_encoded() -> None:
    auth = lucko.LuckoAuth(agent_id="a&b ü", key="k", clock=FixedClock())
    sent = wire(auth, requests.Request("GET", "https://provider.example/x", params={"user_id": "x=1&y/+"}))
    raw = urlsplit(str(sent.url)).query
    query = dict(parse_qsl(raw))
    assert query["user_id"] == "x=1&y/+"
    assert query["agent_id"] == "a&b ü"
    assert "x%3D1%26y%2F%2B" in raw
    assert query["sign"] == crypto.lucko_sign(query, key="k")


def test_lucko_timestamp_is_taken_when_sent_not_when_built() -> None:
    clock = FixedClock()
    auth = lucko.LuckoAuth(agent_id="a", key="k", clock=clock)
    session = requests.Session()
    session.auth = auth
    request = requests.Request("GET", "https://provider.example/x")
    first = parse_qs(urlsplit(str(session.prepare_request(request).url)).query)
    clock.pass_time(3600)
    second = parse_qs(urlsplit(str(session.prepare_request(request).url)).query)
    assert int(second["timestamp"][0]) - int(first["timestamp"][0]) == 3_600_000
    assert first["sign"] != second["sign"]


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=6))
def test_lucko_agrees_with_another_implementation(params: dict[str, str]) -> None:
    assert lucko.sign(params, "key") == crypto.lucko_sign(params, key="key")


# -- JDB --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["jdb"], ids=["space", "nul", "pkcs7", "aligned"])
def test_jdb_vector(vector: dict[str, Any]) -> None:
    x = jdb.encrypt(vector["plaintext"].encode(), key=vector["key"], iv=vector["iv"], padding=vector["pad"])
    assert x == vector["x"]


@pytest.mark.parametrize("vector", VECTORS["jdb"][:3], ids=["space", "nul", "pkcs7"])
def test_jdb_on_the_wire(vector: dict[str, Any]) -> None:
    auth = jdb.JdbAuth(
        parent="testag", dc="demo", key=vector["key"], iv=vector["iv"], padding=vector["pad"],
        clock=clock_at(1447452951820),
    )  # fmt: skip
    request = requests.Request(
        "GET", "https://provider.example/apiRequest.do", params={"gType": "0", "date": "01-01-2016"}
    )
    url = urlsplit(str(wire(auth, request).url))
    assert url.path == "/apiRequest.do"
    assert dict(parse_qsl(url.query)) == {"dc": "demo", "x": vector["x"]}
    assert "parent" not in url.query


def test_jdb_aligned_text_gets_no_block_of_spaces_but_a_block_of_pkcs7() -> None:
    assert jdb.pad(b"x" * 32, "space") == jdb.pad(b"x" * 32, "nul") == b"x" * 32
    assert jdb.pad(b"x" * 32, "pkcs7") == b"x" * 32 + b"\x10" * 16


@pytest.mark.parametrize(
    ("key", "iv", "named"),
    [
        ("short", "fedcba9876543210", "key (password)"),
        ("0123456789abcdef0", "fedcba9876543210", "key (password)"),
        ("0123456789abcdé", "fedcba987654321", "iv_secret"),
        ("0123456789abcdef", "", "iv_secret"),
    ],
)
def test_jdb_key_of_another_length_is_refused_without_showing_it(key: str, iv: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        jdb.encrypt(b"{}", key=key, iv=iv)
    assert f"{named} must be 16 bytes long" in str(caught.value)
    assert key not in str(caught.value)


def test_jdb_unknown_padding_is_refused() -> None:
    with pytest.raises(ConfigError, match="padding 'zero'; allowed are space, nul, pkcs7"):
        jdb.pad(b"x", "zero")
    with pytest.raises(ConfigError, match="padding 'zero'; allowed are space, nul, pkcs7"):
        hook("jdb", extra={"padding": "zero"}).auth()


# -- VertexPlay -------------------------------------------------------------------------------------------------


def test_vertexplay_cipher_vector() -> None:
    iv = bytes.fromhex(VP["iv_hex"])
    assert vertexplay.encrypt(VP["plaintext"].encode(), key=VP_KEY, iv=iv) == VP["cipherText"]


@pytest.mark.parametrize("form", ["pipe", "concat_body"])
def test_vertexplay_signature_vector(form: str) -> None:
    found = vertexplay.signature(
        agent_id=VP["agent_id"], timestamp=VP["timestamp"], nonce=VP["nonce"], cipher_text=VP["cipherText"], form=form
    )
    assert found == VP[f"signature_{form}"]


def vertexplay_auth(random_bytes: Any = None, form: str = "pipe") -> vertexplay.VertexPlayAuth:
    injected = {"random_bytes": random_bytes} if random_bytes else {}
    return vertexplay.VertexPlayAuth(
        agent_id=VP["agent_id"], api_key=VP_KEY, form=form, clock=clock_at(VP["timestamp"]),
        token=lambda: "tok", **injected,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["pipe", "concat_body"])
def test_vertexplay_on_the_wire(form: str) -> None:
    drawn = {12: bytes.fromhex(VP["iv_hex"]), 16: bytes.fromhex(VP["nonce"])}
    auth = vertexplay_auth(drawn.__getitem__, form)
    request = requests.Request("POST", "https://provider.example/v2/betlogs", data=VP["plaintext"].encode())
    sent = wire(auth, request)
    assert isinstance(sent.body, bytes)
    assert json.loads(sent.body) == {"cipherText": VP["cipherText"]}
    assert sent.body == b'{"cipherText":"%b"}' % VP["cipherText"].encode()
    headers = {name: sent.headers[name] for name in ("x-agentid", "x-timestamp", "x-nonce", "x-signature")}
    assert headers == {
        "x-agentid": VP["agent_id"],
        "x-timestamp": VP["timestamp"],
        "x-nonce": VP["nonce"],
        "x-signature": VP[f"signature_{form}"],
    }
    assert sent.headers["Content-Length"] == str(len(sent.body))
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["Authorization"] == "Bearer tok"


def test_vertexplay_token_request_carries_no_token() -> None:
    sent = wire(vertexplay_auth(), requests.Request("POST", "https://provider.example/v2/auth", data=b"{}"))
    assert "Authorization" not in sent.headers


def test_vertexplay_iv_and_nonce_are_fresh_and_distinct() -> None:
    auth, ivs, nonces = vertexplay_auth(), set(), set()
    for _ in range(50):
        sent = wire(auth, requests.Request("POST", "https://provider.example/v2/betlogs", data=b"{}"))
        iv, text = crypto.vertexplay_decrypt(json.loads(sent.body or b"")["cipherText"], key_hex=VP["key_hex"])
        assert text == "{}"
        assert not sent.headers["x-nonce"].startswith(iv.hex())
        ivs.add(iv)
        nonces.add(sent.headers["x-nonce"])
    assert len(ivs) == len(nonces) == 50


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 16, "ab" * 31 + "a"])
def test_vertexplay_api_key_must_be_64_hex_digits(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        vertexplay.parse_api_key(text)
    assert str(caught.value) == "VertexPlay's api_key must be 64 hexadecimal digits."


def test_vertexplay_api_key_may_be_uppercase() -> None:
    assert vertexplay.parse_api_key("AB" * 32) == b"\xab" * 32


def test_vertexplay_unknown_signature_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="signature_form 'plus'; allowed are pipe, concat_body"):
        hook("vertexplay", extra={"signature_form": "plus"}).auth()


@given(st.binary(max_size=200), st.binary(min_size=12, max_size=12))
def test_vertexplay_parts_are_encoded_one_by_one(plaintext: bytes, iv: bytes) -> None:
    text = vertexplay.encrypt(plaintext, key=VP_KEY, iv=iv)
    assert base64.b64decode(text[:16]) == iv
    assert len(base64.b64decode(text[16:40])) == 16
    assert len(base64.b64decode(text[40:])) == len(plaintext)


# -- HotRoad ----------------------------------------------------------------------------------------------------


def test_hotroad_header() -> None:
    vector = VECTORS["hotroad"][0]
    made = hook("hotroad", login=vector["username"], password=vector["password"])
    sent = wire(made.auth(), requests.Request("POST", "https://provider.example/x", json={}))
    assert sent.headers["Authorization"] == vector["authorization"]


def test_payload_is_compact_and_keeps_its_order() -> None:
    query = urlencode({"gType": "0", "date": "01-01-2016"})
    auth = hook("jdb", clock=FixedClock(datetime(2016, 1, 5, tzinfo=UTC))).auth()
    sent = wire(auth, requests.Request("GET", f"https://provider.example/apiRequest.do?{query}"))
    x = dict(parse_qsl(urlsplit(str(sent.url)).query))["x"]
    plain = crypto.jdb_decrypt(x, key="0123456789abcdef", iv="fedcba9876543210")
    assert plain == '{"action":42,"ts":1451952000000,"parent":"merchant","gType":"0","date":"01-01-2016"}'
