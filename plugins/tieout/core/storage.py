"""Files of landing, wherever they lie: a folder of this machine, or an object store behind ``ObjectStoragePath``.

An object store has no folders, no rename and no appending; what it has is that an object appears whole or not at all.
Nothing is asked of it beforehand and what others have written is seen at once: listings are never remembered. Whatever
a store's client raises becomes an OSError.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

#: Errors that a second look cannot mend; other OSErrors (a network file system, an object store) pass.
GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
#: What UPath calls this machine's files; plain pathlib has no protocol.
LOCAL = ("", "file", "local")


class PathLike(Protocol):
    """The part of pathlib that landing needs."""

    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> Any: ...
    def __truediv__(self, other: str) -> PathLike: ...
    def read_bytes(self) -> bytes: ...
    def write_bytes(self, data: bytes) -> Any: ...
    def mkdir(self, mode: int = ..., parents: bool = ..., exist_ok: bool = ...) -> None: ...
    def exists(self) -> bool: ...
    def iterdir(self) -> Iterator[Any]: ...


class StoreError(OSError):
    """An object store's client failed with an error of its own kind; the message is the client's."""


def is_local(path: PathLike) -> bool:
    """Whether *path* is a file or folder of this machine."""
    return getattr(path, "protocol", "") in LOCAL


def make_folder(folder: PathLike) -> None:
    """Make *folder* and those above it. An object store has none: asked for one, it might make a bucket instead."""
    if is_local(folder):
        folder.mkdir(parents=True, exist_ok=True)


def read(path: PathLike) -> bytes:
    """Return a file's bytes. Raises OSError, of the kinds in GONE when there is nothing to be read."""
    if is_local(path):
        return path.read_bytes()
    with _store(path) as (fs, key):
        found: bytes = fs.cat_file(key)
        return found


def write(path: PathLike, data: bytes) -> None:
    """Write a file; it is there whole or not at all, or what was there before. Raises OSError.

    Who is killed while writing to this machine leaves a file of another name (``.part``) beside it.
    """
    if is_local(path):
        # Of no other writer, and hidden: no listing asks for it.
        part = path.parent / f".{uuid.uuid4().hex}.part"
        part.write_bytes(data)
        os.replace(_local_name(part), _local_name(path))
        return
    with _store(path) as (fs, key):
        fs.pipe_file(key, data)


def _local_name(path: Any) -> str:
    """Return what the operating system calls *path*: an ObjectStoragePath says it without its protocol."""
    return str(getattr(path, "path", path))


def files_below(folder: PathLike, depth: int) -> list[PathLike]:
    """Return the files exactly *depth* levels below *folder*, in the order of their names; none if it is absent.

    Raises OSError.
    """
    if is_local(folder):
        return list(_walk(folder, depth))
    with _store(folder) as (fs, key):
        fs.invalidate_cache(key)
        # One listing of all below it, a thousand names a request, instead of one for every folder.
        names = fs.find(key)
    parts = [str(name).rsplit("/", depth)[1:] for name in sorted(names) if str(name).count("/") == _level(key) + depth]
    return [_descend(folder, steps) for steps in parts]


def _walk(folder: PathLike, depth: int) -> Iterator[PathLike]:
    try:
        children = sorted(folder.iterdir(), key=lambda path: str(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return
    for child in children:
        if depth > 1:
            yield from _walk(child, depth - 1)
        else:
            yield child


def _descend(folder: PathLike, steps: list[str]) -> PathLike:
    for step in steps:
        folder = folder / step
    return folder


def _level(key: str) -> int:
    return key.rstrip("/").count("/")


@contextmanager
def _store(path: Any) -> Iterator[tuple[Any, str]]:
    """Yield the file system and the key of *path*; what its client raises becomes an OSError."""
    try:
        yield path.fs, str(path.path)
    except OSError:
        raise
    except Exception as error:
        raise StoreError(f"{type(error).__name__}: {error}") from error
