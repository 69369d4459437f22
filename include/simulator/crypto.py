"""The providers' signatures and ciphers, checked against golden vectors.

Everything rests on the `cryptography` package alone: a client built on another library then cannot share a
mistake with this side.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_BLOCK = 16
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")
_IV_TEXT, _TAG_TEXT = 16, 24  # base64 of 12 and of 16 bytes


class CryptoError(ValueError):
    """A cipher text that cannot be opened with the key given."""


def digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    """The digest of `data`."""
    state = hashes.Hash(algorithm)
    state.update(data)
    return state.finalize()


# ---------------------------------------------------------------- Lucko


def lucko_joined(params: Mapping[str, str]) -> str:
    """The text Lucko signs: non-empty values but `sign`, sorted by key, raw `k=v` joined with `&`."""
    kept = sorted((key, value) for key, value in params.items() if value != "" and key != "sign")
    return "&".join(f"{key}={value}" for key, value in kept)


def lucko_sign(params: Mapping[str, str], *, key: str) -> str:
    """Lucko's signature: lowercase MD5 hex of key & joined parameters."""
    return digest(hashes.MD5(), f"{key}&{lucko_joined(params)}".encode()).hex()


# ---------------------------------------------------------------- JDB


def _sixteen(text: str) -> bytes:
    raw = text.encode()
    if len(raw) > _BLOCK:
        raise CryptoError("key and IV have at most 16 bytes")
    return raw.ljust(_BLOCK, b" ")


def _jdb_cipher(key: str, iv: str) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(_sixteen(key)), modes.CBC(_sixteen(iv)))


def _pad(data: bytes, padding: str) -> bytes:
    missing = -len(data) % _BLOCK
    if padding == "pkcs7":
        return data + bytes([missing or _BLOCK]) * (missing or _BLOCK)
    return data + (b" " if padding == "space" else b"\0") * missing


def _unpad(data: bytes, padding: str) -> bytes:
    if padding == "space":
        return data.rstrip(b" ")
    if padding == "nul":
        return data.rstrip(b"\0")
    size = data[-1] if data else 0
    if not 1 <= size <= _BLOCK or data[-size:] != bytes([size]) * size:
        raise CryptoError("padding is not PKCS#7")
    return data[:-size]


def jdb_encrypt(text: str, *, key: str, iv: str, padding: str = "space") -> str:
    """JDB's `x`: AES-128-CBC of the padded UTF-8 text, base64url without `=`."""
    encryptor = _jdb_cipher(key, iv).encryptor()
    sealed = encryptor.update(_pad(text.encode(), padding)) + encryptor.finalize()
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def jdb_decrypt(x: str, *, key: str, iv: str, padding: str = "space") -> str:
    """The text in JDB's `x`; raises CryptoError when alphabet, length, key or padding do not fit."""
    if not _BASE64URL.fullmatch(x):
        raise CryptoError("not base64url")
    bare = x.rstrip("=")
    try:
        sealed = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error as error:
        raise CryptoError(f"not base64url: {error}") from None
    if not sealed or len(sealed) % _BLOCK:
        raise CryptoError("not whole AES blocks")
    decryptor = _jdb_cipher(key, iv).decryptor()
    try:
        return _unpad(decryptor.update(sealed) + decryptor.finalize(), padding).decode()
    except UnicodeDecodeError:
        raise CryptoError("the plain text is not UTF-8") from None


# ---------------------------------------------------------------- VertexPlay


def vertexplay_signature(*, agent_id: str, timestamp: str, nonce: str, signed: str, mode: str = "pipe") -> str:
    """VertexPlay's x-signature: SHA-256 hex over `|`-joined parts (`signed` = cipherText), or, in mode
    `concat`, over the bare concatenation (`signed` = the whole JSON body as sent)."""
    separator = "|" if mode == "pipe" else ""
    return digest(hashes.SHA256(), separator.join((agent_id, timestamp, nonce, signed)).encode()).hex()


def vertexplay_encrypt(text: str, *, key_hex: str, iv: bytes) -> str:
    """cipherText: base64 of IV (12 bytes), of tag (16) and of the AES-256-GCM cipher text, joined."""
    sealed = AESGCM(bytes.fromhex(key_hex)).encrypt(iv, text.encode(), None)
    body, tag = sealed[:-16], sealed[-16:]
    return "".join(base64.b64encode(part).decode() for part in (iv, tag, body))


def vertexplay_decrypt(cipher_text: str, *, key_hex: str) -> tuple[bytes, str]:
    """(IV, plain text) of a cipherText; raises CryptoError when a part or the tag is wrong."""
    cut = _IV_TEXT + _TAG_TEXT
    try:
        iv = base64.b64decode(cipher_text[:_IV_TEXT], validate=True)
        tag = base64.b64decode(cipher_text[_IV_TEXT:cut], validate=True)
        body = base64.b64decode(cipher_text[cut:], validate=True)
    except (binascii.Error, ValueError) as error:
        raise CryptoError(f"not three base64 parts: {error}") from None
    if len(iv) != 12 or len(tag) != 16:
        raise CryptoError("IV or tag has a wrong length")
    try:
        return iv, AESGCM(bytes.fromhex(key_hex)).decrypt(iv, body + tag, None).decode()
    except (InvalidTag, UnicodeDecodeError):
        raise CryptoError("the tag does not match") from None


# ---------------------------------------------------------------- bearer tokens


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _hs256(key: bytes, signed: str) -> hmac.HMAC:
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(signed.encode())
    return mac


def jwt_encode(claims: Mapping[str, Any], *, key: bytes) -> str:
    """A JWT signed with HS256."""
    head = json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":"))
    signed = ".".join(_b64url(part.encode()) for part in (head, json.dumps(claims, separators=(",", ":"))))
    return f"{signed}.{_b64url(_hs256(key, signed).finalize())}"


def jwt_decode(token: str, *, key: bytes) -> dict[str, Any]:
    """The claims of a JWT made by `jwt_encode` with this key; raises CryptoError otherwise. `exp` is not
    judged.
    """
    signed, _, mark = token.rpartition(".")
    try:
        _hs256(key, signed).verify(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
        middle = signed.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (InvalidSignature, ValueError, IndexError):
        raise CryptoError("not a token of this server") from None
    return claims
