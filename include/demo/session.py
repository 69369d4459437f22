"""One run at a time in a folder of its own, which Ctrl-C ends in good order: what long-running commands share."""

from __future__ import annotations

import fcntl
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class Stopped(Exception):
    """The command was asked to stop (Ctrl-C or SIGTERM)."""


class SessionFailed(RuntimeError):
    """The command cannot go on; the message says why and what to do."""


def stop_on_signals(farewell: str) -> None:
    """Have Ctrl-C and SIGTERM print *farewell* and raise Stopped in the main thread, once."""

    def stop(number: int, frame: object) -> NoReturn:
        # A second Ctrl-C must not interrupt the clean-up of the first.
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        print(f"\n{farewell}", flush=True)
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


@contextmanager
def only_one(lock: Path, *, what: str) -> Iterator[None]:
    """Hold *lock* meanwhile. Raises SessionFailed when another *what* of this checkout does."""
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SessionFailed(f"another {what} of this checkout is running; stop it with Ctrl-C first.") from None
        yield


def start_afresh(folder: Path) -> None:
    """Make *folder* empty. Raises SessionFailed when that cannot be done."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    except OSError as error:
        raise SessionFailed(
            f"cannot clear {folder}: {error}; remove it by hand (an earlier run may be another user's)."
        ) from error
