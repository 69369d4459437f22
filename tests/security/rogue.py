"""A server that sends raw bytes, so that answers no honest library would write can be sent too."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import TracebackType

#: The pieces of an answer, head included; they are sent until the client hangs up.
Answer = Callable[[], Iterable[bytes]]


class RogueServer:
    """Answers every request with the same pieces, a connection each. ``requests`` holds what was asked."""

    def __init__(self) -> None:
        self.answer: Answer = whole(b"{}")
        self.requests: list[bytes] = []
        self.stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
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
        with connection:
            try:
                self.requests.append(_read_request(connection))
                for piece in self.answer():
                    connection.sendall(piece)
            except OSError:
                return

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
