"""Looks for secrets, however they are spelled, in everything a run leaves behind."""

from __future__ import annotations

import base64
import gzip
import html
import json
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg
from psycopg import sql


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret may be spelled; written for itself, apart from the code it checks."""
    raw = secret.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    return {
        secret, *encoded, *(text.rstrip("=") for text in encoded), raw.hex(), raw.hex().upper(), quote(secret, safe=""),
        quote(secret), quote_plus(secret), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1], repr(raw)[2:-1], html.escape(secret),
    }  # fmt: skip


def traces(secret: str) -> set[str]:
    """Return pieces of text that betray a secret: its spellings, also as a part of something longer in base64."""
    found = spellings(secret) | {json.dumps(spelling)[1:-1] for spelling in spellings(secret)}
    for shift in (1, 2):
        # base64 has three phases; what does not touch the edges shows the secret.
        middle = base64.b64encode(b"\0" * shift + secret.encode()).decode()[4:].rstrip("=")
        found.add(middle[: len(middle) // 4 * 4])
    # Shorter pieces occur by chance.
    return {text for text in found if len(text) >= 8}


def leaks(text: str | bytes, secrets: Iterable[str]) -> list[str]:
    """Return what in *text* betrays a secret."""
    whole = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return [trace for secret in secrets for trace in sorted(traces(secret)) if trace in whole]


def shown(error: BaseException, *, variables: bool = True) -> str:
    """Return all that a log could show of an error: chain, traceback, and the variables of every frame in full."""
    formatted = traceback.TracebackException.from_exception(error, capture_locals=variables)
    return "".join((*formatted.format(), repr(error), str(error), repr(error.args), repr(vars(error))))


def attempt(work: Callable[[], object], *, variables: bool = True) -> str:
    """Do *work* and return all that a log could show of its failure; "" when it succeeds."""
    try:
        work()
    except Exception as error:
        return shown(error, variables=variables)
    return ""


class Recorder(logging.Handler):
    """Keeps every log record as text, its arguments and its error in full."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.lines += [record.getMessage(), repr(record.__dict__), shown(error) if error else ""]
        self.loggers.add(record.name)


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below a folder, unpacked, its own path among its contents."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            unpacked = gzip.decompress(data) if path.suffix == ".gz" else b""
            yield path, str(path).encode() + b"\n" + data + b"\n" + unpacked


def rows(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    """Yield every row of every table and view of a database, as text."""
    relations = connection.execute(
        """SELECT table_schema, table_name FROM information_schema.tables
           WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"""
    ).fetchall()
    for schema, table in relations:
        name = sql.Identifier(schema, table)
        for (text,) in connection.execute(sql.SQL("SELECT t::text FROM {} t").format(name)).fetchall():
            yield f"{schema}.{table}", text
