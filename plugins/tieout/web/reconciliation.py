"""Reconciliation: the daily tie-out as a table and a chart, and the bridge of one day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from tieout.core.recon.statement import STEPS, plain_cell
from tieout.web.access import RECONCILED, Seen, Viewer
from tieout.web.charts import Day, Step, tie_out_chart, waterfall
from tieout.web.export import csv_answer
from tieout.web.query import Paging, Query, Sorting, days_before, today
from tieout.web.render import page
from tieout.web.warehouse import Row, reading

router = APIRouter()

ROWS_A_PAGE = 50
SHOWN_DAYS = 30
LONGEST_CHART = 366
#: What may be sorted by: the name in the URL and the column.
COLUMNS = {
    "day": "day",
    "agent": "agent",
    "currency": "currency",
    "bets": "bet_turnover",
    "rebated": "rebated_turnover",
    "unclaimed": "unclaimed_turnover",
    "paid": "paid",
    "difference": "difference",
    "overpaid": "overpaid",
    "underpaid": "underpaid",
    "broken": "broken",
    "pending": "pending",
}
WORDS = ("agent", "currency")
CSV_HEAD = (
    "agent", "day", "currency", "bets", "bet_turnover", "rebates", "rebates_failed", "rebated_turnover",
    "unclaimed_bets", "unclaimed_turnover", "paid", "expected", "difference", "entitled", "overpaid", "underpaid",
    "matched", "broken", "pending", "unprovable",
)  # fmt: skip
SUMMED = (
    "bet_turnover", "rebated_turnover", "unclaimed_turnover", "paid", "difference", "overpaid", "underpaid",
    "rebates", "matched", "broken", "pending", "unprovable",
)  # fmt: skip


def _filters(query: Query, viewer: Viewer) -> dict[str, Any]:
    first, last = query.span()
    last = last or today()
    first = first or days_before(last, SHOWN_DAYS - 1)
    if first > last:
        raise HTTPException(400, "The first day is after the last.")
    return {
        "agents": viewer.reconciled_agents,
        "agent": query.text("agent"),
        "currency": query.text("currency"),
        "first": first,
        "last": last,
    }


def _sorting(query: Query) -> Sorting:
    return Sorting.of(query, COLUMNS, "-day", words=WORDS)


@router.get("/reconciliation")
def reconciliation_page(request: Request, viewer: Seen) -> Response:
    """Show the daily tie-out of the agents and days asked for."""
    query = Query.of(request)
    filters = _filters(query, viewer)
    sorting = _sorting(query)
    paging = Paging(page=query.whole("page", default=1), size=query.whole("size", default=ROWS_A_PAGE, most=500))
    with reading() as snapshot:
        rows = snapshot.rows(
            "daily",
            {**filters, "page_size": paging.size, "page_start": paging.offset},
            tail=sorting.page("day", "agent", "currency"),
        )
        sums = snapshot.rows("daily_sums", filters)
        beside = snapshot.row("beside", filters)
    paging = Paging(page=paging.page, size=paging.size, total=sum(row["lines"] for row in sums))
    return page(
        "reconciliation.html", query=query, filters=filters, sorting=sorting, paging=paging, rows=rows,
        beside=beside, totals=_totals(sums), charts=_charts(sums, filters["first"], filters["last"]),
        currencies=sorted({row["currency"] for row in sums} | {filters["currency"] or ""} - {""}),
        agents=viewer.reconciled_agents[:1000],
    )  # fmt: skip


@router.get("/reconciliation.csv")
def reconciliation_csv(request: Request, viewer: Seen) -> Response:
    """Return the daily tie-out asked for as CSV, in the order asked for."""
    query = Query.of(request)
    order = _sorting(query).clause("day", "agent", "currency")
    return csv_answer(
        "reconciliation", CSV_HEAD, _csv_row, statement="daily", parameters=_filters(query, viewer), order=order
    )  # fmt: skip


def _csv_row(row: Row) -> Sequence[object]:
    cells = (row[name] for name in CSV_HEAD)
    return [
        plain_cell(cell) if isinstance(cell, str) else f"{cell:f}" if isinstance(cell, Decimal) else cell
        for cell in cells
    ]


def _totals(sums: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return each currency's sums over all days; amounts of two currencies are never added."""
    found: dict[str, dict[str, Any]] = {}
    for row in sums:
        total = found.setdefault(row["currency"], dict.fromkeys(SUMMED, 0))
        for name in SUMMED:
            total[name] += row[name]
    return found


def _charts(sums: Sequence[Row], first: date, last: date) -> dict[str, Any]:
    if (last - first).days >= LONGEST_CHART:
        return {}
    days: dict[str, dict[date, Day]] = {}
    for row in sums:
        days.setdefault(row["currency"], {})[row["day"]] = Day(
            row["bet_turnover"], row["rebated_turnover"], row["unclaimed_turnover"], row["difference"]
        )
    return {
        currency: tie_out_chart(currency=currency, first=first, last=last, days=found)
        for currency, found in days.items()
    }


@router.get("/bridge")
def bridge_page(request: Request, viewer: Seen) -> Response:
    """Show how one day's bet turnover of an agent becomes its rebated turnover."""
    query = Query.of(request)
    agent, currency, day = query.required("agent"), query.required("currency"), query.day("day")
    viewer.require_readable(RECONCILED + agent)
    with reading() as snapshot:
        row = snapshot.row("bridge", {"agent": agent, "currency": currency, "day": day})
    if row is None:
        raise HTTPException(404, "This day has not been judged, or it has neither bets nor rebates.")
    return page("bridge.html", query=query, row=row, steps=STEPS, chart=_bridge_chart(row))


def _bridge_chart(row: Row) -> Any:
    steps = []
    for sign, column, name in STEPS:
        amount = -row[column] if sign == "−" else row[column]
        if not sign or sign == "=" or amount:
            steps.append(Step(name.partition(":")[0], amount, "total" if sign in ("", "=") else "step"))
    return waterfall(title=f"From bets to rebates, {row['agent']} {row['day']} {row['currency']}", steps=steps)
