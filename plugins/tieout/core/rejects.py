"""Rows that broke their contract: kept with reason and raw text in ``ops.rejects``; nothing is lost silently."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg

from tieout.core.contract import RowRejected
from tieout.core.feed import FeedSpec
from tieout.core.landing import Manifest

log = logging.getLogger(__name__)

MAX_RAW_TEXT = 100_000
#: Longer than any key that keeps its contract; an index does not take texts of any length.
MAX_KEY_TEXT = 512
#: Beyond, only a row's key is kept, without its text: the judge has to know it, the answers themselves lie in landing.
MAX_KEPT = 10_000
_BATCH = 200
_LOGGED = 20

KEY_COLLISION = "key_collision"
DUPLICATE_KEY = "duplicate_key"


@dataclass(frozen=True, kw_only=True)
class _Reject:
    page: str
    row_number: int
    natural_key: str | None
    reason: str
    detail: str
    raw: str


class RejectLog:
    """The rejects of one reading; replaces those that an earlier load of it wrote. Memory stays bounded."""

    def __init__(self, connection: psycopg.Connection, feed: FeedSpec, manifest: Manifest) -> None:
        self._connection = connection
        self._feed = feed
        self._manifest = manifest
        self._waiting: list[_Reject] = []
        self._by_window: Counter[int] = Counter()
        connection.execute("DELETE FROM ops.rejects WHERE reading_id = %s", (manifest.reading_id,))

    def restart(self) -> None:
        """Forget all rows; what was written of them has been rolled back."""
        self._waiting.clear()
        self._by_window.clear()

    @property
    def count(self) -> int:
        """How many rows were rejected."""
        return self._by_window.total()

    def of_windows(self, windows: list[int]) -> int:
        """Return how many rows of the given windows (numbers from 0) were rejected."""
        return sum(self._by_window[window] for window in windows)

    def add(self, *, window: int, page: str, row_number: int, raw: Any, rejected: RowRejected) -> None:
        """Note one row; *row_number* counts from 1 in its answer."""
        self._by_window[window] += 1
        if self.count <= _LOGGED:
            log.warning("rejected row %d of %s: %s", row_number, page, rejected)
        start = bytes(memoryview(raw)[: 4 * MAX_RAW_TEXT])
        # NUL cannot be stored in text, not even as part of the evidence.
        text = start.decode("utf-8", "replace").replace("\0", "\\u0000")
        # Of the whole row: its rebates are held undecided by the key, however long the row is.
        is_whole = len(start) < 4 * MAX_RAW_TEXT
        key = natural_key(text, self._feed) if is_whole else _key_of_long(memoryview(raw), self._feed)
        is_kept = self.count <= MAX_KEPT
        if not is_kept and key is None:
            return
        self._waiting.append(
            _Reject(
                page=page,
                row_number=row_number,
                natural_key=key,
                reason=rejected.reason,
                detail=rejected.detail.replace("\0", "\\u0000") if is_kept else "",
                raw=text[:MAX_RAW_TEXT] if is_kept else "",
            )
        )

    def flush(self, *, at_least: int = 1) -> None:
        """Write what waits, if it is *at_least* so many rows. Not while a COPY is under way."""
        if len(self._waiting) < at_least:
            return
        manifest = self._manifest
        with self._connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO ops.rejects (reading_id, provider, feed, agent, page, row_number, natural_key,
                                            reason, detail, raw)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    (
                        manifest.reading_id,
                        manifest.provider,
                        manifest.feed,
                        manifest.agent,
                        reject.page,
                        reject.row_number,
                        reject.natural_key,
                        reject.reason,
                        reject.detail,
                        reject.raw,
                    )
                    for reject in self._waiting
                ],
            )
        self._waiting.clear()

    def flush_when_many(self) -> None:
        """Write what waits when it is a batch."""
        self.flush(at_least=_BATCH)

    def close(self) -> None:
        """Write the rest and say how many rows there are beyond those kept."""
        self.flush()
        if self.count > MAX_KEPT:
            log.warning(
                "%d rows were rejected; ops.rejects has the text of the first %d, and keys of the others",
                self.count,
                MAX_KEPT,
            )


def natural_key(raw: str, feed: FeedSpec) -> str | None:
    """Return the natural key of a row's raw text where it still shows one, its parts joined by ``|``."""
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return _joined([fields.get(name) for name in _key_fields(feed)]) if isinstance(fields, dict) else None


def _key_of_long(raw: memoryview, feed: FeedSpec) -> str | None:
    """Return what ``natural_key`` says of a row of many megabytes, without taking it apart: only its key is decoded."""
    names = _key_fields(feed)
    fields = [(f"part{number}", msgspec.Raw) for number in range(len(names))]
    wanted = {field: name for (field, _), name in zip(fields, names, strict=True)}
    try:
        found = msgspec.json.decode(raw, type=msgspec.defstruct("Key", fields, rename=wanted))
        parts = [getattr(found, field) for field, _ in fields]
        return _joined([json.loads(bytes(part)) for part in parts]) if max(map(len, parts)) <= MAX_RAW_TEXT else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _key_fields(feed: FeedSpec) -> list[str]:
    wire = dict(zip(feed.codec.columns, feed.codec.wire_names, strict=True))
    return [wire[name] for name in feed.key if name in wire]


def _joined(parts: list[Any]) -> str | None:
    if not parts or None in parts:
        return None
    # A reject's key may be anything: half a surrogate pair cannot be stored either.
    key = "|".join(map(str, parts)).replace("\0", "")[:MAX_KEY_TEXT]
    return key.encode("utf-8", "replace").decode()
