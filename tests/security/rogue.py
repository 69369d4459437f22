"""A server that sends raw bytes, so that answers no honest library would write can be sent too."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: The pieces of an answer, head included; they are sent until the client hangs up.
Answer = Callable[[], Iterable[bytes]]


class RogueServer:
    """Answers every request with the same pieces, a connection each. ``requests`` holds what was asked.

    With *certificate* (a PEM file with its key) it speaks TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._tls and certificate:
            self._tls.load_cert_chain(certificate)
        self.answer: Answer = whole(b"{}")
        self.requests: list[bytes] = []
        self.stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> RogueServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stopping.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, self._secured(connection) as secured:
            self.requests.append(_read_request(secured))
            for piece in self.answer():
                secured.sendall(piece)

    def _secured(self, connection: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

    def drip(self, head: bytes, piece: bytes, seconds: float) -> Answer:
        """Return an answer that sends *piece* again and again, *seconds* apart, and never ends."""

        def pieces() -> Iterator[bytes]:
            yield head
            while not self.stopping.wait(seconds):
                yield piece

        return pieces


def _read_request(connection: socket.socket) -> bytes:
    """Read one request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536) or b"\0" * length
    return head + b"\r\n\r\n" + body


def head(*lines: str, status: str = "200 OK") -> bytes:
    """Return a status line and headers."""
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode()


def whole(body: bytes, *lines: str, status: str = "200 OK") -> Answer:
    """Return an ordinary answer."""
    return lambda: [head(f"Content-Length: {len(body)}", "Connection: close", *lines, status=status), body]


def forever(start: bytes, piece: bytes) -> Answer:
    """Return an answer that never ends, as fast as the client takes it."""

    def pieces() -> Iterator[bytes]:
        yield start
        while True:
            yield piece

    return pieces


@cache
def bomb(size: int, *, wbits: int = 31) -> bytes:
    """Return *size* zeros as gzip (wbits 31) or zlib (15), about a thousandth of it; gzip in members of 100 MB."""
    member = min(size, 100_000_000) if wbits == 31 else size
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    zeros = bytes(1_000_000)
    packed = b"".join(packer.compress(zeros) for _ in range(member // len(zeros))) + packer.flush()
    return packed * (size // member)


def certificate(path: Path) -> Path:
    """Write a certificate of 127.0.0.1 that vouches for itself, with its key, to *path*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rogue")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path
