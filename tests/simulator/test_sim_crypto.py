"""Golden vectors: made by another language's crypto library, or published by the providers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from simulator import crypto

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
PADS = pytest.mark.parametrize("vector", VECTORS["jdb"], ids=lambda v: f"{v['pad']}-{len(v['plaintext'])}")


@pytest.mark.parametrize("vector", VECTORS["lucko"], ids=lambda v: v["key"])
def test_lucko_signature(vector: dict[str, Any]) -> None:
    assert crypto.lucko_joined(vector["params"]) == vector["signed"]
    assert crypto.lucko_sign(vector["params"], key=vector["key"]) == vector["sign"]
    assert crypto.lucko_sign(vector["params"] | {"sign": "x"}, key=vector["key"]) == vector["sign"]


@PADS
def test_jdb_cipher(vector: dict[str, Any]) -> None:
    settings = {"key": vector["key"], "iv": vector["iv"], "padding": vector["pad"]}
    assert crypto.jdb_encrypt(vector["plaintext"], **settings) == vector["x"]
    assert crypto.jdb_decrypt(vector["x"], **settings) == vector["plaintext"].rstrip(" ")
    assert crypto.jdb_decrypt(vector["x"] + "=" * (-len(vector["x"]) % 4), **settings).startswith("{")


def test_jdb_short_keys_are_filled_with_spaces() -> None:
    sealed = crypto.jdb_encrypt("{}", key="short", iv="iv")
    assert crypto.jdb_decrypt(sealed, key="short".ljust(16), iv="iv".ljust(16)) == "{}"


@pytest.mark.parametrize("x", ["", "abc", "+/+/" * 8, "A" * 22, "ü" * 22])
def test_jdb_refuses_what_is_no_cipher_text(x: str) -> None:
    with pytest.raises(crypto.CryptoError):
        crypto.jdb_decrypt(x, key="k", iv="i")


@pytest.mark.parametrize("vector", VECTORS["vertexplay"], ids=lambda v: v["agent_id"])
def test_vertexplay(vector: dict[str, Any]) -> None:
    iv = bytes.fromhex(vector["iv_hex"])
    sealed = crypto.vertexplay_encrypt(vector["plaintext"], key_hex=vector["key_hex"], iv=iv)
    assert sealed == vector["cipherText"]
    assert crypto.vertexplay_decrypt(sealed, key_hex=vector["key_hex"]) == (iv, vector["plaintext"])
    named = {name: vector[name] for name in ("agent_id", "timestamp", "nonce")}
    assert crypto.vertexplay_signature(**named, signed=sealed) == vector["signature_pipe"]
    body = json.dumps({"cipherText": sealed}, separators=(",", ":"))
    concat = crypto.vertexplay_signature(**named, signed=body, mode="concat")
    assert concat == vector["signature_concat_body"]


def test_vertexplay_refuses_a_bent_tag() -> None:
    vector = VECTORS["vertexplay"][0]
    text = vector["cipherText"]
    bent = text[:16] + ("A" if text[16] != "A" else "B") + text[17:]
    for wrong in (bent, text[:30], "", "*" * 60):
        with pytest.raises(crypto.CryptoError):
            crypto.vertexplay_decrypt(wrong, key_hex=vector["key_hex"])


def test_hotroad_basic_header() -> None:
    for vector in VECTORS["hotroad"]:
        pair = f"{vector['username']}:{vector['password']}".encode()
        assert vector["authorization"] == "Basic " + base64.b64encode(pair).decode()


def test_tokens_cannot_be_forged() -> None:
    token = crypto.jwt_encode({"sub": "a"}, key=b"one")
    assert crypto.jwt_decode(token, key=b"one") == {"sub": "a"}
    for wrong in (token[:-2] + "xx", "a.b.c", "", "..", "é"):
        with pytest.raises(crypto.CryptoError):
            crypto.jwt_decode(wrong, key=b"one")
    with pytest.raises(crypto.CryptoError):
        crypto.jwt_decode(token, key=b"two")
