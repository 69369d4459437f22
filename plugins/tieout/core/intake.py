"""What a load takes in: answers from landing, decoded ahead of the server, into the temporary table or straight on.

Answers are decoded by a thread of their own, one ahead: while the server works on one, Python works on the next.
Memory holds two answers, however many there are.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import psycopg
from psycopg import sql

from tieout.core import copying, landing
from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.fresh import FreshRows, NotStraight, goes_straight
from tieout.core.incoming import IncomingSql
from tieout.core.landing import Manifest, PageEntry
from tieout.core.planner import planned_with
from tieout.core.proof import Counts
from tieout.core.rejects import RejectLog
from tieout.core.rows import RowReader, Rows
from tieout.core.storage import PathLike

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One reading whose rows are copied: the one being loaded (number 0), or a later one beside it."""

    number: int
    manifest: Manifest
    folder: PathLike
    certified: bool = False

    @property
    def options(self) -> FeedOptions:
        """The feed's options at the time of the reading."""
        return FeedOptions.from_json(self.manifest.options)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A stored answer: its window and its own number, which count from 0 and 1."""

    window: int
    number: int
    entry: PageEntry


@dataclass
class Intake:
    """Takes in one reading, and those beside it. ``fresh`` is the number of rows that need not be merged."""

    connection: psycopg.Connection
    feed: FeedSpec
    load_id: int
    rejects: RejectLog
    fresh: int = 0
    _straight: Counter[int] = field(default_factory=Counter)
    _copied: int = 0

    @cached_property
    def _sql(self) -> IncomingSql:
        return IncomingSql(self.feed)

    @cached_property
    def _reader(self) -> RowReader:
        return RowReader(self.feed)

    def take(self, sources: list[Source]) -> None:
        """Copy all rows of *sources*; what cannot be decoded is set aside."""
        (reading, *later) = sources
        self.connection.execute(self._sql.create_incoming(reading.manifest.agent))
        joined = len(reading.manifest.certified_slices) > 1
        # Later readings may know another state of any row; the slices of a joined reading are counted by SQL.
        if later or joined or not goes_straight(self.feed) or not self._take_straight(reading):
            for source in sources:
                self._copy(source)
        if self._copied:
            # Temporary tables are analysed by nobody else, and a merge planned without is a gamble.
            for statement in self._sql.analyze():
                self.connection.execute(statement)

    def _take_straight(self, reading: Source) -> bool:
        """Store new rows at once; False when that is not possible, and everything is as it was before."""
        straight = FreshRows(
            connection=self.connection, feed=self.feed, agent=reading.manifest.agent, load_id=self.load_id,
            reading_id=reading.manifest.reading_id,
        )  # fmt: skip
        try:
            # Keys are looked up in the index, however small the table seems to be.
            with self.connection.transaction(), planned_with(self.connection, enable_seqscan="off"):
                self._copy(reading, straight)
        except NotStraight as reason:
            log.info("%s: %s; all of it is merged", reading.manifest.reading_id, reason)
            self.rejects.restart()
            self._copied = 0
            return False
        self._straight = straight.by_window
        self.fresh = straight.by_window.total()
        return True

    def _copy(self, source: Source, straight: FreshRows | None = None) -> None:
        answers = (
            _Answer(window=window, number=number, entry=entry)
            for number, (window, entry) in enumerate(pages(source.manifest), start=1)
        )
        with closing(_ahead(lambda answer: (answer, self._read(source, answer)), answers)) as read:
            for answer, rows in read:
                if source.number == 0:
                    self._set_aside(answer, rows)
                if straight is not None:
                    rows = straight.write(rows, answer.window, answer.entry)
                self._copy_rows(source, answer, rows)
                self.rejects.flush_when_many()

    def _read(self, source: Source, answer: _Answer) -> Rows:
        window = source.manifest.windows[answer.window].window
        page = self.feed.read_page(landing.read_page(source.folder, answer.entry))
        return self._reader.read(page.rows, self.feed.window_values(window, source.options))

    def _set_aside(self, answer: _Answer, rows: Rows) -> None:
        for row in rows.rejected:
            self.rejects.add(
                window=answer.window, page=answer.entry.file, row_number=row.number, raw=row.raw, rejected=row.why
            )  # fmt: skip

    def _copy_rows(self, source: Source, answer: _Answer, rows: Rows) -> None:
        columns = [*rows.columns, copying.bigints(rows.numbers)]
        origin = copying.integers((source.number, answer.window, answer.number))
        asked = copying.instants((answer.entry.requested_at,))
        copying.send(self.connection, self._sql.copy_in(), columns, fields=len(columns) + 4, after=[*origin, *asked])
        self._copied += len(rows.numbers)

    def count(self, manifest: Manifest, parameters: dict[str, object]) -> Counts:
        """Count what came, by window and, of a joined reading, by slice."""
        by_window = {window: (rows, rows) for window, rows in self._straight.items()}
        keys = self.fresh
        if self._copied:
            found = self.connection.execute(self._sql.count_windows()).fetchall()
            for window, rows, distinct in found:
                straight = self._straight[window]
                by_window[window] = (int(rows) + straight, distinct + straight)
            keys += found[0][2] if len(found) == 1 else self._one(self._sql.count_keys())
        by_slice: dict[int, tuple[int, int]] = {}
        if len(manifest.certified_slices) > 1:
            cursor = self.connection.execute(self._sql.count_slices(), parameters)
            by_slice = {number - 1: (rows, distinct) for number, rows, distinct in cursor.fetchall()}
        return Counts(by_window=by_window, by_slice=by_slice, keys=keys)

    @property
    def is_merged(self) -> bool:
        """Whether there is anything in the temporary table."""
        return self._copied > 0

    def _one(self, statement: sql.Composed) -> int:
        row = self.connection.execute(statement).fetchone()
        assert row is not None
        return int(row[0])


def pages(manifest: Manifest) -> Iterator[tuple[int, PageEntry]]:
    """Yield the stored answers in reading order, each with the number of its window."""
    for number, window in enumerate(manifest.windows):
        for page in window.pages:
            yield number, page


def _ahead(function: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
    """Yield ``function(item)`` of each, worked out by a thread one item ahead."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tieout-decode") as pool:
        waiting: Future[R] | None = None
        for item in items:
            following = pool.submit(function, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
