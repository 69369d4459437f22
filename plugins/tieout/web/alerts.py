"""What somebody has to know now, and had to: the book of alerts as a list."""

from __future__ import annotations

from fastapi import APIRouter

from tieout import pages
from tieout.core.alerts import KINDS
from tieout.core.recon.integrity import IDENTITIES
from tieout.web.listing import Column, Listing, Select, serve
from tieout.web.query import link
from tieout.web.warehouse import Row

router = APIRouter()


#: What an alert's page is found by.
_NAMED = ("kind", "provider", "feed", "agent", "cause", "since", "detail")


def _to_cause(row: Row) -> str | None:
    """Return the page that shows what an alert is about; None where Airflow's own does."""
    return pages.beside(pages.of_alert(**{name: row[name] for name in _NAMED}))


ALERTS = Listing(
    path="alerts",
    title="Alerts",
    lead="What the monitor found that somebody has to know. An alert closes by itself when its cause is gone; it is "
    "listed for thirty days then, and for longer when days are named.",
    statement="alerts",
    columns=(
        Column(name="kind", title="Kind", sort="kind", link=lambda row: link("runbook", kind=row["kind"])),
        Column(name="state", title="State", sort="state"),
        Column(name="provider", title="Provider", sort="provider"),
        Column(name="agent", title="Agent", sort="agent", link=_to_cause),
        Column(name="feed", title="Feed", sort="feed"),
        Column(name="since", title="From", kind="instant", sort="since"),
        Column(name="until", title="To", kind="instant"),
        Column(name="detail", title="What it says", kind="sentence"),
        Column(name="opened_at", title="Found at", kind="instant", sort="opened_at"),
        Column(name="closed_at", title="Gone at", kind="instant", sort="closed_at"),
        Column(name="told", title="Notifiers told", kind="count"),
    ),
    sort="-opened_at",
    ties=("kind", "cause"),
    nothing="Nothing is wrong that the monitor looks for.",
    selects=(
        Select(name="kind", title="Kind", options=tuple(KINDS)),
        Select(name="state", title="State", options=("open", "closed"), default="open"),
        Select(name="provider", title="Provider", options=tuple(sorted(IDENTITIES))),
    ),
    groups=("kind",),
    window=None,
)

serve(router, "alerts", lambda query: ALERTS)
