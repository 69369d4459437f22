"""Coverage: a heat map of agents' feeds by day, the slices of a day, and what is known of each feed.

A cell is a UTC day of one feed; it shows the worst state of the slices that start in it. All figures of a page come
from a handful of statements, whatever number of agents there are; what has to look at every agent (the list of feeds
that are not complete) is loaded after the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup, escape

from tieout.web.access import RECONCILED, Seen, feed_dag
from tieout.web.query import Paging, Query, days_before, link, midnight, today
from tieout.web.render import duration, page, zone_of
from tieout.web.warehouse import Row, Snapshot, reading

router = APIRouter()

PROVIDERS = ("hotroad", "jdb", "lucko", "vertexplay")
FEEDS = ("betlogs", "bets", "daily", "rebates", "summary")
#: Provider, feed, and the endpoint that it calls, of which it takes quota. Pages import no provider; a test compares.
ENDPOINTS = (
    ("hotroad", "summary", "/api/get_transactions_summary"),
    ("jdb", "daily", "/apiRequest.do"),
    ("lucko", "bets", "/api/game/transaction/query"),
    ("lucko", "rebates", "/api/promo/rebate/bill"),
    ("vertexplay", "betlogs", "/v2/betlogs"),
)
#: How the DAGs begin that read a feed.
FEED_DAGS = tuple(f"{provider}__{feed}__" for provider, feed, _ in ENDPOINTS)
WIDTHS = ("14", "30", "40", "60", "90")
AGENTS_A_PAGE = 15
#: How many incomplete feeds are named; the others are counted.
NAMED = 30

#: States of a slice, worst first: what a cell says when several meet in it. Name, letter, what it means.
STATES = (
    ("lost", "X", "Lost", "no reading covers it and the provider has forgotten it"),
    ("missing", "M", "Missing", "no reading covers it yet"),
    ("suspect", "S", "Suspect", "read, but something did not add up"),
    ("landed", "L", "Landed", "read and kept, not loaded yet"),
    ("due", "D", "Due", "not ready to be read yet"),
    ("certified", "✓", "Certified", "read completely, and proven to be"),
    ("no_activity", "·", "No activity", "certified: the provider says that nothing happened"),
)
OPEN = ("missing", "suspect", "landed")


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of a feed: its worst ``state``, ``letter`` and ``label``, and whether ``mixed``: not of all slices."""

    day: date
    state: str
    letter: str
    label: str
    mixed: bool


@dataclass(frozen=True)
class Feed:
    """A line of the map: what is declared and known of a feed, its cells (None: a day without slices).

    ``lacks`` are its counts and first deadline over all its time, None when it lacks nothing.
    """

    known: Row
    cells: Sequence[Cell | None]
    lacks: Row | None

    @property
    def names(self) -> dict[str, str]:
        """Provider, feed and agent, as parameters of links."""
        return {name: self.known[name] for name in ("provider", "feed", "agent")}

    @property
    def html(self) -> Markup:
        """The cells as table cells: thousands on a page, so they are put together without the template."""
        base = str(escape(link("slices", **self.names)))
        return Markup("").join(Markup("<td></td>") if cell is None else _html(cell, base) for cell in self.cells)

    @property
    def open(self) -> int:
        """How many of all its slices can still be had and are not."""
        return sum(self.lacks[state] for state in OPEN) if self.lacks else 0

    @property
    def lost(self) -> int:
        """How many of all its slices are lost."""
        return int(self.lacks["lost"]) if self.lacks else 0

    @property
    def deadline(self) -> datetime | None:
        """When the provider forgets the first of the open slices."""
        deadline: datetime | None = self.lacks["deadline"] if self.lacks else None
        return deadline

    @property
    def zone(self) -> str:
        """The provider's zone."""
        return zone_of(self.known["provider"], self.known["settlement_zone"])

    @property
    def behind(self) -> timedelta | None:
        """How much certified time is behind the clock, None when the feed has ended or has not begun.

        A feed of which nothing is certified is behind since it began.
        """
        known = self.known
        certified_to: datetime = known["certified_to"] or known["start_at"]
        if certified_to > known["as_of"] or (known["stop_at"] and certified_to >= known["stop_at"]):
            return None
        behind: timedelta = known["as_of"] - certified_to
        return behind

    @property
    def is_stale(self) -> bool:
        """Whether the newest slice that should be there is not: later than its lag and two more slices.

        A feed that was declared a moment ago is given as long for its first one.
        """
        known = self.known
        allowed = known["lag"] + 2 * known["slice_width"]
        is_new = known["certified_to"] is None and known["as_of"] - known["first_known_at"] <= allowed
        return self.behind is not None and self.behind > allowed and not is_new


def _html(cell: Cell, base: str) -> Markup:
    """Return a cell; its label is the name of the link, which the script shows as a hint, too."""
    mixed = " mixed" if cell.mixed else ""
    # Nothing in it comes from outside: days, counts and our own words; the address is escaped.
    return Markup(
        f'<td><a class="cell s-{cell.state}{mixed}" href="{base}&amp;day={cell.day}" aria-label="{cell.label}">'
        f"{cell.letter}</a></td>"
    )


@router.get("/coverage")
def coverage_page(request: Request, viewer: Seen) -> Response:
    """Show the map of a page of agents."""
    query = Query.of(request)
    filters = {
        "provider": query.text("provider"),
        "feed": query.text("feed"),
        "agent": query.text("agent"),
        "contains": query.text("contains"),
        "merchant": query.text("merchant"),
    }
    width = int(query.choice("days", WIDTHS, "90"))
    last = query.day("until") or today()
    size = query.whole("size", default=AGENTS_A_PAGE, most=100)
    paging = Paging(page=query.whole("page", default=1), size=size)
    with reading() as snapshot:
        agents = snapshot.rows(
            "coverage_agents", {**filters, "dags": viewer.dags, "page_size": size, "page_start": paging.offset}
        )
        paging = Paging(page=paging.page, size=size, total=agents[0]["total"] if agents else 0)
        feeds = _map(snapshot, viewer.dags, agents, filters["feed"], days=_days(last, width))
        quotas = _quotas(snapshot, viewer.dags, agents) if agents else []
    return page(
        "coverage.html", query=query, filters=filters, width=width, last=last, days=_days(last, width), feeds=feeds,
        quotas=quotas, paging=paging, states=STATES, providers=PROVIDERS, feed_names=FEEDS, widths=WIDTHS,
        is_filtered=any(filters.values()), today=today(), dag=None,
    )  # fmt: skip


@router.get("/dag")
def dag_page(request: Request, viewer: Seen) -> Response:
    """Show the tab of a DAG: the map of its agent's feeds; the reconciliation where it is one that reconciles."""
    query = Query.of(request)
    dag_id = query.required("dag_id")
    viewer.require_readable(dag_id)
    provider, _, rest = dag_id.partition("__")
    kind, _, agent = rest.partition("__")
    if provider not in PROVIDERS or not agent:
        return page("no_feed.html", dag_id=dag_id)
    if kind in ("reconcile", "rejudge") and agent in viewer.reconciled_agents:
        return RedirectResponse(link("reconciliation", agent=agent), status_code=302)
    days = _days(today(), int(query.choice("days", WIDTHS, "90")))
    with reading() as snapshot:
        agents: list[Row] = [{"provider": provider, "agent": agent}]
        feed = kind if kind in FEEDS else None
        feeds = _map(snapshot, viewer.dags, agents, feed, days=days)
        quotas = _quotas(snapshot, viewer.dags, agents) if feeds else []
    return page(
        "coverage.html", query=query, width=len(days), last=days[-1],
        filters={"provider": provider, "feed": feed, "agent": agent, "contains": None, "merchant": None},
        days=days, feeds=feeds, quotas=quotas, paging=Paging(page=1, size=1, total=bool(feeds)),
        states=STATES, providers=PROVIDERS, feed_names=FEEDS, widths=WIDTHS, is_filtered=True, today=today(),
        dag=dag_id,
    )  # fmt: skip


def _days(last: date, width: int) -> list[date]:
    return [days_before(last, back) for back in range(width - 1, -1, -1)]


def _pairs(agents: Sequence[Row]) -> dict[str, list[str]]:
    return {"providers": [row["provider"] for row in agents], "agents": [row["agent"] for row in agents]}


def _quotas(snapshot: Snapshot, dags: list[str], agents: Sequence[Row]) -> list[Row]:
    names = ("spec_providers", "spec_feeds", "spec_endpoints")
    asked = {name: list(values) for name, values in zip(names, zip(*ENDPOINTS, strict=True), strict=True)}
    return snapshot.rows("quotas", {**_pairs(agents), **asked, "dags": dags})


def _map(
    snapshot: Snapshot, dags: list[str], agents: Sequence[Row], feed: str | None, *, days: Sequence[date]
) -> list[Feed]:
    if not agents:
        return []
    known = snapshot.rows("coverage_feeds", {**_pairs(agents), "dags": dags, "feed": feed})
    names = {f"{name}s": [row[name] for row in known] for name in ("provider", "feed", "agent")}
    # Whatever days are shown: a slice that is forgotten in an hour may lie before them.
    lacking = snapshot.rows("coverage_totals", {**names, "is_all_time": True})
    lacks = {(row["provider"], row["feed"], row["agent"]): row for row in lacking}
    counted = snapshot.rows(
        "coverage_days",
        {**names, "since": midnight(days[0]), "until": midnight(days[-1]) + timedelta(days=1)},
    )
    by_feed: dict[tuple[str, str, str], dict[date, Row]] = {}
    for row in counted:
        by_feed.setdefault((row["provider"], row["feed"], row["agent"]), {})[row["day"]] = row
    found = []
    for row in known:
        key = (row["provider"], row["feed"], row["agent"])
        of_days = by_feed.get(key, {})
        cells = [_cell(day, of_days.get(day), row["as_of"]) for day in days]
        found.append(Feed(known=row, cells=cells, lacks=lacks.get(key)))
    return found


def _cell(day: date, counts: Row | None, now: Any) -> Cell | None:
    if counts is None:
        return None
    present = [(name, letter, title) for name, letter, title, _ in STATES if counts[name]]
    state, letter, _ = present[0]
    said = ", ".join(f"{counts[name]} {title.lower()}" for name, _, title in present)
    # Certified with and without activity is one thing, and needs nobody's eye.
    mixed = (
        len({name for name, _, _ in present} - {"no_activity", "certified"})
        + (any(name in ("no_activity", "certified") for name, _, _ in present))
        > 1
    )
    if deadline := counts["deadline"]:
        said += f"; can be had for {duration(deadline - now)}"
    return Cell(day, state, letter, f"{day}: {said}", mixed)


@router.get("/incomplete")
def incomplete_part(request: Request, viewer: Seen) -> Response:
    """Show the feeds that are not complete, of all agents: a part that the map's page loads by itself.

    Without the script it is a page of its own.
    """
    readable = viewer.readable
    with reading() as snapshot:
        everything = {"providers": None, "feeds": None, "agents": None, "is_all_time": False}
        rows = snapshot.rows("coverage_totals", everything)
    found = [row for row in rows if feed_dag(row["provider"], row["feed"], row["agent"]) in readable]
    return page(
        "incomplete.html", rows=found[:NAMED], count=len(found), named=NAMED,
        is_part="x-tieout-part" in request.headers, sees_any=any(dag.startswith(FEED_DAGS) for dag in readable),
    )  # fmt: skip


@router.get("/slices")
def slices_page(request: Request, viewer: Seen) -> Response:
    """Show the slices of a feed that start on a UTC day, with all their readings."""
    query = Query.of(request)
    names = {name: query.required(name) for name in ("provider", "feed", "agent")}
    viewer.require_readable(feed_dag(names["provider"], names["feed"], names["agent"]))
    day = query.day("day")
    if day is None:
        raise HTTPException(400, "The address lacks the parameter day.")
    since, until = midnight(day), midnight(day) + timedelta(days=1)
    opened = query.instant("slice") if query.text("slice") else None
    with reading() as snapshot:
        known = snapshot.rows(
            "coverage_feeds",
            {"providers": [names["provider"]], "agents": [names["agent"]], "feed": names["feed"], "dags": viewer.dags},
        )
        if not known:
            raise HTTPException(404, "There is no such thing here, or you may not see it.")
        slices = snapshot.rows("slices", {**names, "since": since, "until": until})
        # The last slice of the day may end in the next.
        until_read = max([until, *(row["slice_end"] for row in slices)])
        readings = snapshot.rows("readings", {**names, "since": since, "until": until_read})
    met = {
        row["slice_start"]: [
            each
            for each in readings
            if each["slice_start"] < row["slice_end"] and each["slice_end"] > row["slice_start"]
        ]
        for row in slices
    }
    return page(
        "slices.html", query=query, names=names, day=day, opened=opened, known=known[0], slices=slices, readings=met,
        zone=zone_of(names["provider"], known[0]["settlement_zone"]), states={state[0]: state for state in STATES},
        dag_id=feed_dag(**names), before=days_before(day, 1), after=day + timedelta(days=1),
        dag_path=quote(feed_dag(**names), safe=""), open_states=OPEN, today=today(), UTC=UTC, reconciled=RECONCILED,
    )  # fmt: skip
