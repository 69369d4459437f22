"""The rows of a feed that were not loaded, as a page and as a file."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from psycopg import sql

from tieout.web.access import Seen, Viewer, feed_dag
from tieout.web.export import csv_answer
from tieout.web.listing import cell
from tieout.web.query import Paging, Query
from tieout.web.render import page, zone_of
from tieout.web.warehouse import reading

router = APIRouter()

REJECTS_A_PAGE = 50
CSV_HEAD = (
    "rejected_at", "reason", "natural_key", "detail", "reading_id", "page", "row_number", "raw", "raw_length",
)  # fmt: skip


def _feed(query: Query, viewer: Viewer) -> dict[str, str]:
    names = {name: query.required(name) for name in ("provider", "feed", "agent")}
    viewer.require_readable(feed_dag(names["provider"], names["feed"], names["agent"]))
    return names


@router.get("/rejects.csv")
def rejects_csv(request: Request, viewer: Seen) -> Response:
    """Return the rows of a feed that were not loaded; of a long one, how it begins."""
    names = _feed(Query.of(request), viewer)
    return csv_answer(
        "rejects", CSV_HEAD, lambda row: [cell(row[name]) for name in CSV_HEAD],
        statement="rejects", parameters={**names, "page_size": None, "page_start": 0}, order=sql.Composed([]),
    )  # fmt: skip


@router.get("/rejects")
def rejects_page(request: Request, viewer: Seen) -> Response:
    """Show the rows of a feed that were not loaded."""
    query = Query.of(request)
    names = _feed(query, viewer)
    number = query.whole("page", default=1)
    paging = Paging(page=number, size=REJECTS_A_PAGE)
    with reading() as snapshot:
        rows = snapshot.rows("rejects", {**names, "page_size": paging.size, "page_start": paging.offset})
        zones = snapshot.rows("zone", names)
    paging = Paging(page=number, size=REJECTS_A_PAGE, total=rows[0]["total"] if rows else 0)
    zone = zone_of(names["provider"], zones[0]["settlement_zone"] if zones else None)
    return page("rejects.html", query=query, names=names, rows=rows, paging=paging, zone=zone)
