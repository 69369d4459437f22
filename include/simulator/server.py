"""Run the simulator: in a thread for tests (`serve`), or for the command line."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn

from simulator.app import build_app
from simulator.clock import wall_ms
from simulator.config import SimConfig
from simulator.connections import base_url
from simulator.gate import Simulator
from simulator.world import World

START_SECONDS = 30


class PortInUse(OSError):
    """The port to listen on is taken, or the address is not this machine's."""


class _Uvicorn(uvicorn.Server):
    """Says when it listens, so that nobody has to poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.up.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, asyncio switches Nagle off; otherwise every answer waits 40 ms for a delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        reason = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise PortInUse(f"port {port} on {host} {reason}; choose another with --port") from None
    return listener


class RunningServer:
    """A listening simulator: `url` without a trailing slash, its `world`, all else as `simulator`."""

    def __init__(self, config: SimConfig, *, wall: Callable[[], int] = wall_ms) -> None:
        self.simulator = Simulator(config, wall=wall)
        self._socket = _listen(config.host, config.port)
        self.port: int = self._socket.getsockname()[1]
        self.url = base_url(config.host, self.port)
        settings = uvicorn.Config(
            build_app(self.simulator),
            log_level="warning",
            access_log=False,
            lifespan="off",
            loop="asyncio",
            timeout_graceful_shutdown=1,
        )
        self._server = _Uvicorn(settings)
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    @property
    def world(self) -> World:
        """The world being served."""
        return self.simulator.world

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._server.up.set()

    def start(self) -> None:
        """Listen; returns when the server answers. Raises RuntimeError when it does not come up."""
        self._thread.start()
        if not self._server.up.wait(START_SECONDS) or not self._server.started:
            raise RuntimeError("the simulator did not start")

    def stop(self) -> None:
        """Stop and wait for the end; calls under way get a second."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(START_SECONDS)
        self._socket.close()

    def alive(self) -> bool:
        """False once the server has ended."""
        return self._thread.is_alive()


@contextmanager
def serve(
    config: SimConfig | None = None, *, port: int = 0, wall: Callable[[], int] = wall_ms
) -> Iterator[RunningServer]:
    """Serve `config` (default settings without one) on `port`, by default a free one, until the block ends.

    `wall` replaces the wall clock (ms) for ages of signatures and tokens. Raises PortInUse.
    """
    server = RunningServer(replace(config or SimConfig(), port=port), wall=wall)
    try:
        server.start()
        yield server
    finally:
        server.stop()
