"""Breaks: the filtered list and its CSV, a break with everything behind it, and accepting it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from psycopg import sql

from tieout.core.errors import ConfigError
from tieout.core.recon.acceptance import BreakKey, accept_break
from tieout.core.recon.statement import plain_cell
from tieout.core.recon.statement_breaks import STATUS
from tieout.core.slices import stamp
from tieout.web.access import RECONCILED, Seen, Viewer, require_own_form, token_for
from tieout.web.charts import Step, waterfall
from tieout.web.export import csv_answer
from tieout.web.query import Paging, Query, Sorting, link, midnight, today
from tieout.web.render import page, zone_of
from tieout.web.warehouse import Row, reading, writing

router = APIRouter()

ROWS_A_PAGE = 50
BETS_A_PAGE = 50
STATES = ("unanswered", "standing", "open", "reopened", "accepted", "healed", "all")
REASONS = (
    "turnover", "amount", "missing_bet", "voided_bet", "foreign_bet", "reused_bet", "wallet_txn_missing",
    "wallet_txn_reused", "paid_twice", "unsettled_bet",
)  # fmt: skip
SEVERITIES = ("high", "medium", "low")
#: What may be sorted by: the name in the URL and the column. Amounts are sorted by their size, whichever their sign.
COLUMNS = {
    "day": "day", "agent": "agent", "reason": "reason", "state": "state", "currency": "currency", "user": "user_id",
    "amount": "size", "overpaid": "overpaid_size", "severity": "severity_rank", "age": "opened_at",
}  # fmt: skip
WORDS = ("agent", "reason", "state", "currency", "user")
#: The older a break, the earlier it was opened.
BACKWARDS = ("age",)
#: What a component of a difference is called.
KINDS = {
    "restated": "settled anew after the rebate",
    "voided": "void by now",
    "foreign": "of another user or currency",
    "reused": "claimed before",
    "missing": "not reported by the provider",
    "unexplained": "unexplained",
}
CSV_HEAD = (
    "break_id", "agent", "day", "rebate_id", "reason", "state", "user_id", "currency", "amount", "unit",
    "overpaid", "severity", "opened_at", "changed_at", "accepted_by", "accepted_reason", "accepted_until", "bet_ids",
    "sentence",
)  # fmt: skip
MOST_IDS = 500
#: How many breaks a filter finds, by reason and state.
COUNTED = sql.SQL(
    """SELECT reason, state, count(*) AS found FROM ({}) AS b
       GROUP BY reason, state ORDER BY count(*) DESC, reason, state"""
)
#: Of how many rebates they are; asked where they are few, as those of a line of the tie-out.
REBATES = sql.SQL("SELECT count(DISTINCT (agent, rebate_id)) AS found FROM ({}) AS b")
FEW = 5_000


def _filters(query: Query, viewer: Viewer) -> dict[str, Any]:
    first, last = query.span()
    older, younger = _age(query, "older"), _age(query, "younger")
    if older is not None and younger is not None and older >= younger:
        raise HTTPException(400, "No break is older and younger than that: the parameter older must be below younger.")
    return {
        "agents": viewer.reconciled_agents,
        "agent": query.text("agent"),
        "first": first,
        "last": last,
        "currency": query.text("currency"),
        "reason": query.choice("reason", ("", *REASONS), "") or None,
        "severity": query.choice("severity", ("", *SEVERITIES), "") or None,
        "state": query.choice("state", STATES, "unanswered"),
        "user_id": query.text("user_id"),
        "rebate_id": query.text("rebate_id"),
        "least": query.amount("least"),
        "older": older,
        "younger": younger,
    }


def _age(query: Query, name: str) -> int | None:
    return query.whole(name, default=0, least=0, most=36500) if query.text(name) else None


def _sorting(query: Query) -> Sorting:
    return Sorting.of(query, COLUMNS, "-overpaid", backwards=BACKWARDS, words=WORDS)


@router.get("/breaks")
def breaks_page(request: Request, viewer: Seen) -> Response:
    """Show a page of the breaks asked for."""
    query = Query.of(request)
    filters = _filters(query, viewer)
    sorting = _sorting(query)
    paging = Paging(page=query.whole("page", default=1), size=query.whole("size", default=ROWS_A_PAGE, most=500))
    with reading() as snapshot:
        counts = snapshot.rows("breaks", filters, around=COUNTED)
        rows = snapshot.rows(
            "breaks",
            {**filters, "page_size": paging.size, "page_start": paging.offset},
            tail=sorting.page("break_id"),
        )
        paging = Paging(page=paging.page, size=paging.size, total=sum(row["found"] for row in counts))
        few = filters["first"] is not None and 0 < paging.total <= FEW
        rebates = snapshot.rows("breaks", filters, around=REBATES)[0]["found"] if few else None
    return page(
        "breaks.html", query=query, filters=filters, sorting=sorting, paging=paging, rows=rows, counts=counts,
        states=STATES, reasons=REASONS, severities=SEVERITIES, agents=viewer.reconciled_agents[:1000], rebates=rebates,
        is_filtered=filters["state"] != "unanswered"
        or any(filters[name] is not None for name in filters if name not in ("agents", "state")),
    )  # fmt: skip


@router.get("/breaks.csv")
def breaks_csv(request: Request, viewer: Seen) -> Response:
    """Return all breaks asked for as CSV (RFC 4180, UTF-8), in the order asked for."""
    query = Query.of(request)
    filters = _filters(query, viewer)
    order = _sorting(query).clause("break_id")
    return csv_answer("breaks", CSV_HEAD, _csv_row, statement="breaks", parameters=filters, order=order)


def _csv_row(row: Row) -> Sequence[object]:
    return (
        row["break_id"], plain_cell(row["agent"]), row["day"],
        *map(plain_cell, (row["rebate_id"], row["reason"], row["state"], row["user_id"], row["currency"])),
        f"{row['amount']:f}", row["unit"], f"{row['overpaid']:f}", row["severity"] or "", stamp(row["opened_at"]),
        stamp(row["changed_at"]), plain_cell(row["accepted_by"] or ""), plain_cell(row["accepted_reason"] or ""),
        stamp(row["accepted_until"]) if row["accepted_until"] else "",
        plain_cell(" ".join(row["bet_ids"])), plain_cell(row["sentence"]),
    )  # fmt: skip


@router.get("/break")
def break_page(request: Request, viewer: Seen) -> Response:
    """Show a break: its figures, what the difference is made of, its bets, its history, and what it was read from."""
    return _break_page(Query.of(request), viewer)


def _break_page(
    query: Query, viewer: Viewer, *, template: str = "break.html", status: int = 200, **more: Any
) -> Response:  # fmt: skip
    """Return the page of the break that *query* names; a form that *more* brings stands in place of its own."""
    break_id = query.whole("id", default=0, most=2**63 - 1)
    paging = Paging(page=query.whole("page", default=1), size=BETS_A_PAGE)
    with reading() as snapshot:
        row = snapshot.row("break", {"break_id": break_id})
        if row is None or row["agent"] not in set(viewer.reconciled_agents):
            raise HTTPException(404, "There is no such break, or you may not see it.")
        names = {"agent": row["agent"], "rebate_id": row["rebate_id"]}
        concerned = row["bet_ids"][:MOST_IDS]
        components = snapshot.rows("components", names)
        events = snapshot.rows("events", {"break_id": break_id})
        others = snapshot.rows("break_others", {**names, "break_id": break_id})
        bets = snapshot.rows(
            "bets", {**names, "bet_ids": concerned, "page_size": paging.size, "page_start": paging.offset}
        )
        versions = snapshot.rows("versions", {"agent": row["agent"], "bet_ids": [bet["bet_id"] for bet in bets]})
        read = {row["reading_id"], *(each["reading_id"] for each in (*bets, *versions, *events))} - {None}
        origins = snapshot.rows("origins", {"agent": row["agent"], "readings": sorted(read)})
    states: dict[str, list[Row]] = {}
    for version in versions:
        states.setdefault(version["bet_id"], []).append(version)
    may_accept = row["state"] != "healed" and viewer.may_edit(row["agent"])
    token = token_for(viewer, _subject(break_id)) if may_accept else ""
    return page(
        template, status=status, query=query, row=row, charts=_charts(row, components), components=components,
        events=events, others=others, bets=bets, versions=states, origins=origins, kinds=KINDS, bet_states=STATUS,
        paging=Paging(page=paging.page, size=paging.size, total=bets[0]["total"] if bets else 0),
        may_accept=may_accept and "typed" not in more, token=token, form_token=token,
        zone=zone_of("lucko", row["settlement_zone"]), today=today(), dag_id=RECONCILED + row["agent"], **more,
    )  # fmt: skip


def _charts(row: Row, components: Sequence[Row]) -> list[tuple[str, Any]]:
    """Return waterfalls: from the turnover of its bets to the rebate's, and from what it entitles to."""
    starts = {
        "difference": ("Its settled bets", row["linked_turnover"], "From the turnover of its bets to what it states"),
        "entitlement": (
            "Entitled turnover", row["entitled_turnover"], "From what entitles to a rebate to what it states",
        ),
    }  # fmt: skip
    found = []
    for of, (first, amount, title) in starts.items():
        parts = [part for part in components if part["of"] == of]
        if parts and not (of == "entitlement" and amount == row["linked_turnover"]):
            steps = [
                Step(first, amount, "total"),
                *(
                    Step(f"{KINDS[part['kind']]} {part['bet_id']}".strip(), part["amount"], part["kind"])
                    for part in parts
                ),
                Step("The rebate states", row["turnover"], "total"),
            ]
            found.append((title, waterfall(title=title, steps=steps)))
    return found


def _subject(break_id: int) -> str:
    return f"accept break {break_id}"


@router.post("/accept")
def accept(
    request: Request,
    viewer: Seen,
    break_id: Annotated[int, Form(ge=1, lt=2**63)],
    fingerprint: Annotated[str, Form(max_length=200)],
    reason: Annotated[str, Form(max_length=2_000)] = "",
    until: Annotated[str, Form(max_length=20)] = "",
    token: Annotated[str, Form(max_length=1_000)] = "",
) -> Response:
    """Accept a break as it was shown, until the end of a UTC day where one is given; then show it again.

    What cannot be accepted is told on the break's page as it is now, with what was typed.
    """
    require_own_form(request, viewer, _subject(break_id), token)
    with reading() as snapshot:
        row = snapshot.row("break", {"break_id": break_id})
    if row is None or row["agent"] not in set(viewer.reconciled_agents):
        raise HTTPException(404, "There is no such break, or you may not see it.")
    if not viewer.may_edit(row["agent"]):
        raise HTTPException(403, "Accepting a break takes the permission to edit the DAG of the agent's bets.")
    key = BreakKey(agent=row["agent"], rebate_id=row["rebate_id"], reason=row["reason"])
    try:
        said, end = _reason_of(reason), _end_of(until)
        with writing() as connection:
            accept_break(connection, key, by=viewer.name, reason=said, expires_at=end, fingerprint=fingerprint)
    except HTTPException as refused:
        status, why, advice = refused.status_code, str(refused.detail), ""
    except ConfigError as refused:
        status, why, advice = 409, refused.message, refused.advice
    else:
        return RedirectResponse(link("break", id=break_id), status_code=303)
    return _break_page(
        Query({"id": str(break_id)}), viewer, template="accept.html", status=status, said=why, advice=advice,
        typed={"reason": reason, "until": until},
    )  # fmt: skip


def _reason_of(typed: str) -> str:
    if not typed.strip():
        raise HTTPException(400, "Say why the break may stand: an acceptance needs a reason.")
    if "\0" in typed:
        raise HTTPException(400, "The reason holds a character that cannot be stored.")
    return typed


def _end_of(day: str) -> datetime | None:
    """Return the instant at which a UTC day ends, None for no day."""
    if not day.strip():
        return None
    try:
        end = midnight(date.fromisoformat(day.strip())) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise HTTPException(400, "The last day of the acceptance is not a date such as 2026-01-31.") from None
    if end <= datetime.now(UTC):
        raise HTTPException(400, "The last day of the acceptance is over already.")
    return end
