"""A page's state as its URL holds it: read strictly, written back into links."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from fastapi import HTTPException, Request
from psycopg import sql

from tieout.core.slices import parse_instant

LONGEST = 300
#: What may be asked about: so that no page reckons beyond the ends of the calendar.
EARLIEST, LATEST = date(2000, 1, 1), date(2199, 12, 31)
#: An amount as pages show it or as it is typed; 12,50 is neither.
_AMOUNT = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Query:
    """The parameters of a request. Its readers raise HTTP 400, naming the parameter; an empty one is absent."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, request: Request) -> Query:
        """Return the parameters of a request, the last of each name."""
        return cls({name: value for name, value in request.query_params.items() if value.strip()})

    def text(self, name: str) -> str | None:
        """Return a text without the blanks around it, None without."""
        value = self.values.get(name)
        if value is not None and (len(value) > LONGEST or "\0" in value):
            raise self._wrong(name, f"a text of at most {LONGEST} characters")
        return None if value is None else value.strip()

    def required(self, name: str) -> str:
        """Return a text that must be there."""
        value = self.text(name)
        if value is None:
            raise HTTPException(400, f"The address lacks the parameter {name}.")
        return value

    def day(self, name: str) -> date | None:
        """Return a date from 2000 to 2199, None without."""
        value = self.text(name)
        if value is None:
            return None
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise self._wrong(name, "a date such as 2026-01-31") from None
        if not EARLIEST <= day <= LATEST:
            raise self._wrong(name, f"a date from {EARLIEST} to {LATEST}")
        return day

    def span(self) -> tuple[date | None, date | None]:
        """Return ``first`` and ``last``, None where the address names none."""
        first, last = self.day("first"), self.day("last")
        if first and last and first > last:
            raise HTTPException(400, "The first day is after the last.")
        return first, last

    def instant(self, name: str) -> datetime:
        """Return an instant that must be there."""
        try:
            instant = parse_instant(self.required(name))
            within = EARLIEST <= instant.astimezone(UTC).date() <= LATEST
        except (ValueError, OverflowError):
            raise self._wrong(name, "an instant such as 2026-01-31T12:00:00Z") from None
        if not within:
            raise self._wrong(name, f"an instant from {EARLIEST} to {LATEST}")
        return instant

    def whole(self, name: str, *, default: int, least: int = 1, most: int = 1_000_000) -> int:
        """Return a whole number within bounds."""
        value = self.text(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and len(value) < 20 and least <= int(value) <= most):
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return int(value)

    def amount(self, name: str) -> Decimal | None:
        """Return an exact decimal, None without."""
        value = self.text(name)
        if value is None:
            return None
        if not _AMOUNT.fullmatch(value) or abs(Decimal(value.replace(",", "")).adjusted()) > 30:
            raise self._wrong(name, "an amount such as 12.50 or 1,234.50")
        return Decimal(value.replace(",", ""))

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Return one of *choices*."""
        value = self.text(name) or default
        if value not in choices:
            raise self._wrong(name, "one of " + ", ".join(filter(None, choices)))
        return value

    def link(self, path: str, **changes: Any) -> str:
        """Return a relative link to *path* with these parameters, some changed; None takes one away."""
        return link(path, **{**self.values, **changes})

    def _wrong(self, name: str, wanted: str) -> HTTPException:
        return HTTPException(400, f"The parameter {name} is not {wanted}.")


def link(path: str, **parameters: Any) -> str:
    """Return a relative link; pages lie side by side, so that it holds below any prefix."""
    given = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


@dataclass(frozen=True, kw_only=True)
class Sorting:
    """By which column a table is sorted: ``columns`` that may be named, the one chosen, and the way.

    A name among ``backwards`` stands for a column that falls as it rises (an age, by the instant it began). Columns
    among ``words`` begin with A when their head is chosen, others with the largest.
    """

    columns: Mapping[str, str]
    column: str
    descending: bool
    backwards: Collection[str] = ()
    words: Collection[str] = ()

    @classmethod
    def of(
        cls, query: Query, columns: Mapping[str, str], default: str, *, backwards: Collection[str] = (),
        words: Collection[str] = (),
    ) -> Sorting:  # fmt: skip
        """Read ``sort=-amount``: the name of a column, a minus before it for the largest first."""
        names = [f"{way}{name}" for name in columns for way in ("", "-")]
        chosen = query.choice("sort", names, default)
        column = chosen.lstrip("-")
        return cls(
            columns=columns, column=column, descending=chosen.startswith("-"), backwards=backwards, words=words
        )  # fmt: skip

    def clause(self, *ties: str) -> sql.Composed:
        """Return the ORDER BY clause; *ties* are columns that make the order total."""
        # The ties go the same way: so that an index on both can be followed, whichever way is asked for.
        way = sql.SQL(" DESC" if self.descending != (self.column in self.backwards) else " ASC")
        chosen = sql.Identifier(self.columns[self.column]) + way
        return sql.SQL("ORDER BY ") + sql.SQL(", ").join([chosen, *(sql.Identifier(name) + way for name in ties)])

    def page(self, *ties: str) -> sql.Composed:
        """Return the same for one page: parameters page_size and page_start."""
        return self.clause(*ties) + sql.SQL(" LIMIT %(page_size)s OFFSET %(page_start)s")

    def next(self, name: str) -> str:
        """Return the value of ``sort`` behind a column's head: the other way round, or the column's first way."""
        rises = self.descending if name == self.column else name in self.words
        return name if rises else f"-{name}"

    def aria(self, name: str) -> str:
        """Return what ``aria-sort`` says of a column."""
        return "none" if name != self.column else "descending" if self.descending else "ascending"


@dataclass(frozen=True, kw_only=True)
class Paging:
    """A page of a list: ``page`` from 1 on, ``size`` rows each, ``total`` rows in all."""

    page: int
    size: int
    total: int = 0

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return (self.page - 1) * self.size

    @property
    def pages(self) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """The number of the first row shown, 0 when there is none."""
        return min(self.offset + 1, self.total)

    @property
    def last(self) -> int:
        """The number of the last row shown."""
        return min(self.offset + self.size, self.total)


def today() -> date:
    """Return today's date in UTC."""
    return datetime.now(UTC).date()


def midnight(day: date) -> datetime:
    """Return the instant at which a UTC day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days_before(day: date, count: int) -> date:
    """Return the day *count* days before."""
    return day - timedelta(days=count)
