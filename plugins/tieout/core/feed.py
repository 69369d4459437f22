"""What is true of a feed whoever the agent is: its limits, its rows, its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Table

from tieout.core.contract import Row, RowCodec
from tieout.core.slices import Slice, Window

ZERO = timedelta(0)
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Page:
    """One decoded answer: the provider's control total (None where it gives none) and its rows, still raw."""

    total: int | None
    rows: list[msgspec.Raw]


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """What the declaration of an agent adds to a feed: the currency of currency-less rows, JDB's game types."""

    currency: str | None = None
    g_types: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the options as the manifest keeps them."""
        return {"currency": self.currency, "g_types": list(self.g_types)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FeedOptions:
        """Read the options back from a manifest."""
        return cls(currency=data.get("currency"), g_types=tuple(data.get("g_types") or ()))


def whole_windows(width: timedelta) -> Callable[[Slice, FeedOptions], Iterator[Window]]:
    """Return a splitter into consecutive windows of at most *width*."""

    def split(slice_: Slice, options: FeedOptions) -> Iterator[Window]:
        return (Window(piece) for piece in slice_.split(width))

    return split


@dataclass(frozen=True, kw_only=True)
class FeedSpec:
    """A provider's report endpoint as its document describes it.

    Times: ``interval`` between calls of one merchant, ``reach`` back from now (None: no limit stated), ``lag``
    after a slice's end before it is read, ``max_window`` of one request, ``slice_width`` by default.
    ``key`` is the natural key without ``agent``; ``order`` the column that says which of two states of a row is
    newer (None: only the time of reading does); ``immutable`` the columns that never change under one key;
    ``position`` the SQL expression of the instant the provider filters by. ``snapshot`` feeds replace what they
    covered; others only ever add and update. An answer of ``row_cap`` rows or more may have been cut off: its window
    is read again in halves.
    """

    provider: str
    name: str
    title: str
    document: str
    endpoint: str
    interval: timedelta
    widen_factor: int = 1
    reach: timedelta | None
    lag: timedelta
    max_window: timedelta
    slice_width: timedelta
    slice_anchor: timedelta = ZERO
    page_size: int | None = None
    row_cap: int | None = None
    row: type[Row]
    nullable_epochs: tuple[str, ...] = ()
    table: Table
    versions: Table | None = None
    key: tuple[str, ...]
    order: str | None = None
    immutable: tuple[str, ...] = ()
    position: str
    snapshot: bool = False
    windows: Callable[[Slice, FeedOptions], Iterator[Window]]
    read_page: Callable[[bytes], Page]
    window_columns: tuple[str, ...] = ()
    window_values: Callable[[Window, FeedOptions], tuple[Any, ...]] = lambda window, options: ()
    derived_columns: tuple[str, ...] = ()
    derive: Callable[[Any], tuple[Any, ...]] = lambda row: ()
    before_merge: tuple[str, ...] = ()
    after_merge: tuple[str, ...] = ()
    revisits: tuple[timedelta, ...] = ()
    required_options: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    codec: RowCodec = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "codec", RowCodec(self.row, nullable_epochs=self.nullable_epochs))
        if self.interval <= ZERO or self.max_window <= ZERO or self.slice_width <= ZERO:
            raise ValueError(f"{self.id}: interval, max_window and slice_width must be positive")
        if not ZERO <= self.slice_anchor < DAY:
            raise ValueError(f"{self.id}: slice_anchor must lie within a day")

    @property
    def id(self) -> str:
        """``<provider>__<feed>``, the stem of DAG ids."""
        return f"{self.provider}__{self.name}"

    @property
    def joined_width(self) -> timedelta:
        """How much adjoining slices may be joined to one reading: a window where it is wide, else a day's part."""
        return self.max_window if self.max_window > self.slice_width else min(24 * self.max_window, DAY)

    @property
    def data_columns(self) -> tuple[str, ...]:
        """The staging columns a row fills, in COPY order, without provenance."""
        return (*self.codec.columns, *self.derived_columns, *self.window_columns)
