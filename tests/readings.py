"""Builds landed readings for tests: answers given as JSON go through the real landing writer and the real load."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL

from tieout.core.feed import FeedOptions, FeedSpec
from tieout.core.landing import Manifest, ReadingWriter, SliceEntry, WindowEntry, new_reading_id, slice_folder
from tieout.core.ledger import Certificate
from tieout.core.load import load_reading
from tieout.core.slices import Slice
from tieout.providers import feed_spec

SAMPLES = Path(__file__).parent / "samples"


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, ms: int = 0) -> datetime:
    """Return an aware UTC instant."""
    return datetime(year, month, day, hour, minute, second, ms * 1000, tzinfo=UTC)


def sample(name: str) -> Any:
    """Return a sample answer of a provider's document."""
    return json.loads((SAMPLES / name).read_text())


@dataclass
class Reading:
    """One reading in the making. ``answers``: per window, the JSON bodies of its pages, ``page_time`` apart."""

    warehouse: ClassVar[URL]
    base: ClassVar[Path]

    feed: FeedSpec
    slice: Slice
    options: FeedOptions
    agent: str = "acme"
    merchant_id: str = "agent001"
    kind: str = "first"
    requested_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    answers: list[list[bytes]] = field(default_factory=list)
    problem: str | None = None
    slices: tuple[Slice, ...] = ()
    page_time: timedelta = timedelta(0)
    manifest: Path | None = None

    @classmethod
    def of(
        cls, provider: str, feed: str, start: datetime, *, hours: float = 1, currency: str | None = None,
        g_types: tuple[str, ...] = (), **kwargs: Any,
    ) -> Reading:  # fmt: skip
        """Begin a reading of ``[start, start + hours)``."""
        slice_ = Slice(start, start + timedelta(hours=hours))
        return cls(feed_spec(provider, feed), slice_, FeedOptions(currency=currency, g_types=g_types), **kwargs)

    def sample(self, name: str) -> Reading:
        """Answer the first window with a document's sample and all others with nothing."""
        return self.answer((SAMPLES / name).read_bytes())

    def answer(self, *pages: bytes | dict[str, Any]) -> Reading:
        """Answer the next window with these pages."""
        self.answers.append([page if isinstance(page, bytes) else json.dumps(page).encode() for page in pages])
        return self

    def edit(self, change: Callable[[Any], object], window: int = 0, page: int = 0) -> Reading:
        """Change one answer's JSON."""
        body = json.loads(self.answers[window][page])
        change(body)
        self.answers[window][page] = json.dumps(body).encode()
        return self

    def land(self) -> Path:
        """Write the reading to landing and return its manifest's path."""
        folder = slice_folder(
            self.base, provider=self.feed.provider, feed=self.feed.name, agent=self.agent, slice_=self.slice
        )
        writer = ReadingWriter(folder, new_reading_id(self.requested_at))
        windows = []
        answered = self.requested_at
        for number, window in enumerate(self.feed.windows(self.slice, self.options)):
            pages = []
            for body in self.answers[number] if number < len(self.answers) else [EMPTY[self.feed.provider]]:
                page = self.feed.read_page(body)
                pages.append(writer.write_page(body, rows=len(page.rows), total=page.total, requested_at=answered))
                answered += self.page_time
            windows.append(
                WindowEntry(
                    start=window.range.start, end=window.range.end, params=dict(window.params), attempts=1,
                    settled=len({page.total for page in pages}) == 1, pages=pages,
                )
            )  # fmt: skip
        manifest = Manifest(
            reading_id=writer.reading_id, provider=self.feed.provider, feed=self.feed.name, agent=self.agent,
            merchant_id=self.merchant_id, slice_start=self.slice.start, slice_end=self.slice.end, kind=self.kind,
            options=self.options.as_json(), windows=windows, pulled_at=self.requested_at,
            finished_at=answered, problem=self.problem, tieout_version="test",
            slices=[SliceEntry(start=piece.start, end=piece.end) for piece in self.slices],
        )  # fmt: skip
        self.manifest = Path(writer.write_manifest(manifest))
        return self.manifest

    def load(self) -> Certificate:
        """Land the reading unless it is, and load it."""
        path = self.manifest or self.land()
        return load_reading(self.warehouse, self.feed, path, path.parent)


EMPTY = {
    "lucko": b'{"code": 200, "message": "success", "data": {"transactions": [], "list": []}}',
    "hotroad": b'{"code": "0000", "data": {"list": []}}',
    "jdb": b'{"status": "0000", "data": []}',
    "vertexplay": b'{"code": 0, "message": "No error.", "data": []}',
}
