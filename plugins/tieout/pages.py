"""Where the pages are in Airflow's UI: addresses that extra links and alerts lead to.

All are relative to the base of Airflow's page, so that they hold below any prefix and on workers that were never told
Airflow's own address; ``elsewhere`` is for messages that leave Airflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from urllib.parse import quote, urlencode

#: Routes of the two entries of Airflow's navigation.
COVERAGE_VIEW = "tieout-coverage"
RECONCILIATION_VIEW = "tieout-reconciliation"


def is_address(text: str) -> bool:
    """Tell whether a text is an address that can be followed from anywhere."""
    return text.startswith(("https://", "http://"))


def elsewhere(base_url: str, page: str) -> str:
    """Return a page's whole address; without one of Airflow, *base_url* (``[api] base_url``), words that say where."""
    if is_address(base_url):
        return f"{base_url.rstrip('/')}/{page}"
    return f"(in Airflow, below its address: /{page})"


def coverage(
    *, provider: str | None = None, feed: str | None = None, agent: str | None = None, merchant: str | None = None
) -> str:  # fmt: skip
    """Return the map of coverage, narrowed to what is given."""
    return _page(COVERAGE_VIEW, "coverage", provider=provider, feed=feed, agent=agent, merchant=merchant)


def slices(*, provider: str, feed: str, agent: str, start: datetime, one: bool = False) -> str:
    """Return the slices of the UTC day of *start*; with *one*, the slice that starts then is opened."""
    start = start.astimezone(UTC)
    opened = start.isoformat().replace("+00:00", "Z") if one else None
    day = start.date()
    return _page(COVERAGE_VIEW, "slices", provider=provider, feed=feed, agent=agent, day=day, slice=opened)


def reconciliation(*, agent: str, days: Sequence[date] = ()) -> str:
    """Return the tie-out of an agent from the first to the last of *days*; without any, of the newest ones."""
    return _page(RECONCILIATION_VIEW, "reconciliation", agent=agent, **_span(days))


def breaks(*, agent: str, rebate_id: str) -> str:
    """Return the breaks of one rebate."""
    return _page(RECONCILIATION_VIEW, "breaks", agent=agent, rebate_id=rebate_id, state="all")


def integrity(*, provider: str, agent: str, days: Sequence[date] = ()) -> str:
    """Return the rows of an agent that contradict themselves."""
    return _page(RECONCILIATION_VIEW, "integrity", provider=provider, agent=agent, **_span(days))


def controls(*, provider: str, agent: str, days: Sequence[date] = ()) -> str:
    """Return the control totals of an agent."""
    return _page(RECONCILIATION_VIEW, "controls", provider=provider, agent=agent, **_span(days))


def runbook(kind: str) -> str:
    """Return what an alert of a kind means and what to do."""
    return _page(COVERAGE_VIEW, "runbook", kind=kind)


def dag(dag_id: str) -> str:
    """Return Airflow's own page of a DAG."""
    return f"dags/{quote(dag_id, safe='')}"


def of_alert(
    *, kind: str, provider: str, feed: str, agent: str, cause: str, since: datetime | None, detail: str
) -> str:  # fmt: skip
    """Return the page that shows the cause of an alert (a row of ops.alerts)."""
    if kind in ("losing", "lost", "suspect") and since is not None:
        return slices(provider=provider, feed=feed, agent=agent, start=since, one=kind == "suspect")
    if kind == "throttled":
        return coverage(provider=provider, merchant=agent)
    if kind == "unjudged":
        return reconciliation(agent=agent, days=[date.fromisoformat(detail)])
    if kind == "late":
        return dag(f"{provider}__{feed}__{agent}")
    if kind == "overpaid":
        return breaks(agent=agent, rebate_id=cause.partition("/")[2])
    return coverage(provider=provider, feed=feed, agent=agent)


def beside(page: str) -> str | None:
    """Return one of our pages as the others name it, which lie side by side; None of a page of Airflow's own."""
    _, ours, name = page.partition("/tieout/")
    return name if ours else None


def _span(days: Sequence[date]) -> dict[str, date]:
    return {"first": min(days), "last": max(days)} if days else {}


def _page(view: str, name: str, **parameters: object) -> str:
    given = {key: str(value) for key, value in parameters.items() if value is not None}
    return f"plugin/{view}/tieout/{name}" + (f"?{urlencode(given)}" if given else "")
