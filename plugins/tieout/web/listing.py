"""Lists that are filtered, sorted, paged and exported alike: each is declared by its statement and its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response
from psycopg import sql

from tieout.core.recon.statement import plain_cell
from tieout.core.slices import stamp
from tieout.web.access import Seen, Viewer
from tieout.web.export import csv_answer
from tieout.web.query import Paging, Query, Sorting, days_before, today
from tieout.web.render import page, places_by_currency
from tieout.web.warehouse import Row, reading

ROWS_A_PAGE = 50
Kind = Literal["text", "id", "day", "instant", "amount", "signed", "count", "share", "state", "sentence"]
NUMBERS = ("amount", "signed", "count", "share")
WORDS = ("text", "id", "state", "sentence")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a list: ``name`` in the statement and the file, how it looks, and where a cell leads.

    ``sort``: the statement's column it is sorted by, None: it is not. ``link``: a row's address, None: plain.
    """

    name: str
    title: str
    kind: Kind = "text"
    sort: str | None = None
    link: Callable[[Row], str | None] | None = None

    @property
    def is_number(self) -> bool:
        """Whether it stands to the right."""
        return self.kind in NUMBERS


@dataclass(frozen=True, kw_only=True)
class Select:
    """A filter with given values; ``default`` holds where the address says nothing, None: all."""

    name: str
    title: str
    options: tuple[str, ...]
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list at ``path``, its file at ``<path>.csv``.

    ``statement`` takes the filters, what the viewer may see (``dags``, ``agents``), and days, ``first`` and ``last``,
    null without. ``window``: how many days are shown where the address names none, None: all. ``groups``: columns whose
    combinations are counted above the list. ``beside``: further links, made of the filters. ``foreign``: what another
    list at the same path is sorted by, which is no mistake here. ``needs_agent``: texts that are looked up within one.
    """

    path: str
    title: str
    lead: str
    statement: str
    columns: tuple[Column, ...]
    sort: str
    ties: tuple[str, ...]
    nothing: str
    selects: tuple[Select, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()
    window: int | None = 30
    beside: Callable[[Mapping[str, Any]], Sequence[tuple[str, str]]] = lambda filters: ()
    foreign: frozenset[str] = field(default=frozenset())
    needs_agent: tuple[str, ...] = ()

    @cached_property
    def sortable(self) -> dict[str, str]:
        """What may be sorted by: the name in the address and the statement's column."""
        return {column.name: column.sort for column in self.columns if column.sort}

    def sorting(self, query: Query) -> Sorting:
        """Return how the list is sorted. Raises HTTP 400 for a column that no list at this path has."""
        named = (query.text("sort") or "").removeprefix("-")
        if named not in self.sortable and named in self.foreign:
            query = Query({})
        words = [column.name for column in self.columns if column.kind in WORDS]
        return Sorting.of(query, self.sortable, self.sort, words=words)

    def filters(self, query: Query, viewer: Viewer) -> dict[str, Any]:
        """Return the statement's parameters. Raises HTTP 400 naming the one that is wrong."""
        first, last = query.span()
        if self.window is not None:
            last = last or today()
            first = first or days_before(last, self.window - 1)
        if first and last and first > last:
            raise HTTPException(400, "The first day is after the last.")
        for name in self.needs_agent:
            if query.text(name) and not query.text("agent"):
                raise HTTPException(400, f"The parameter {name} takes an agent: name the parameter agent, too.")
        chosen = {
            select.name: query.choice(select.name, (*select.options, "all"), select.default or "all")
            for select in self.selects
        }
        return {
            "dags": viewer.dags,
            "agents": viewer.reconciled_agents,
            "agent": query.text("agent"),
            "first": first,
            "last": last,
            **{name: query.text(name) for name, _ in self.texts},
            **{name: None if value == "all" else value for name, value in chosen.items()},
        }

    def page(self, query: Query, viewer: Viewer) -> Response:
        """Return a page of the list."""
        filters = self.filters(query, viewer)
        sorting = self.sorting(query)
        number, size = query.whole("page", default=1), query.whole("size", default=ROWS_A_PAGE, most=500)
        paging = Paging(page=number, size=size)
        with reading() as snapshot:
            counts = snapshot.rows(self.statement, filters, around=self._counted)
            rows = snapshot.rows(
                self.statement,
                {**filters, "page_size": size, "page_start": paging.offset},
                tail=sorting.page(*self.ties),
            )
        asked = any(filters[name] for name in ("agent", *(name for name, _ in self.texts)))
        return page(
            "listing.html", query=query, listing=self, filters=filters, sorting=sorting, rows=rows,
            counts=counts if self.groups else [], agents=viewer.reconciled_agents[:1000],
            digits=self._digits(rows),
            paging=Paging(page=number, size=size, total=sum(row["found"] for row in counts)),
            is_filtered=asked or any(query.values.get(select.name) for select in self.selects),
        )  # fmt: skip

    def csv(self, query: Query, viewer: Viewer) -> Response:
        """Return the whole list as a file."""
        order = self.sorting(query).clause(*self.ties)
        names = [column.name for column in self.columns]
        return csv_answer(
            self.path, names, lambda row: [cell(row[name]) for name in names],
            statement=self.statement, parameters=self.filters(query, viewer), order=order,
        )  # fmt: skip

    def _digits(self, rows: Sequence[Row]) -> dict[str, int]:
        amounts = [column.name for column in self.columns if column.kind in ("amount", "signed")]
        return places_by_currency(rows, *amounts) if amounts else {}

    @property
    def _counted(self) -> sql.SQL:
        names = ", ".join(self.groups)
        grouped = f" GROUP BY {names} ORDER BY count(*) DESC, {names}" if names else ""
        # The names are our own, and the statement goes where the braces are.
        return sql.SQL(f"SELECT {names}{', ' if names else ''}count(*) AS found FROM ({{}}) AS f{grouped}")


def serve(router: APIRouter, path: str, choose: Callable[[Query], Listing]) -> None:
    """Serve the list that *choose* finds for an address: at *path* as a page, at ``<path>.csv`` as a file."""

    def as_page(request: Request, viewer: Seen) -> Response:
        query = Query.of(request)
        return choose(query).page(query, viewer)

    def as_file(request: Request, viewer: Seen) -> Response:
        query = Query.of(request)
        return choose(query).csv(query, viewer)

    router.add_api_route(f"/{path}", as_page, response_model=None)
    router.add_api_route(f"/{path}.csv", as_file, response_model=None)


def cell(value: object) -> object:
    """Return a value as a file holds it: exact, in UTC, and nothing that a spreadsheet would compute."""
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return plain_cell(value) if isinstance(value, str) else "" if value is None else value
