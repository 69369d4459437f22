"""What can be done about a gap, in Airflow: repair, replay, backfill, with everything filled in.

Airflow's own trigger form takes no parameters from its address (3.3). The page therefore shows what will be sent and
lets the browser send it to Airflow's REST API as the person who is logged in: Airflow decides, and writes it down.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response

from tieout.core.slices import stamp
from tieout.web.access import Seen, feed_dag
from tieout.web.query import Query
from tieout.web.render import page

router = APIRouter()

KINDS = ("repair", "replay", "backfill")


@dataclass(frozen=True, kw_only=True)
class Action:
    """A call of Airflow's REST API: where to, with which body, and what it is called."""

    title: str
    explained: str
    dag_id: str
    path: str
    body: dict[str, Any]
    shown: dict[str, str]


@router.get("/action")
def action_page(request: Request, viewer: Seen) -> Response:
    """Show an action on a feed's time, ready to be started."""
    query = Query.of(request)
    names = {name: query.required(name) for name in ("provider", "feed", "agent")}
    feed_id = feed_dag(**names)
    viewer.require_readable(feed_id)
    kind = query.choice("kind", KINDS, "repair")
    since, until = query.instant("from"), query.instant("to")
    if since >= until:
        raise HTTPException(400, f"The time ends before it begins: from {stamp(since)} to {stamp(until)}.")
    shown = {**names, "from": stamp(since), "to": stamp(until)}
    action = _backfill(feed_id, shown, stamp(until - timedelta(seconds=1))) if kind == "backfill" else _run(kind, shown)
    return page(
        "action.html", query=query, action=action, kind=kind, names=names, day=since.date(),
        body=json.dumps(action.body), may_start=viewer.may_trigger(action.dag_id),
        dag_path=quote(action.dag_id, safe=""), since=since, until=until, kinds=KINDS,
    )  # fmt: skip


def _run(kind: str, shown: dict[str, str]) -> Action:
    dag_id = f"tieout__{kind}"
    conf: dict[str, Any] = dict(shown)
    conf |= {"everything": True, "dry_run": False} if kind == "repair" else {"only_uncertified": False}
    explained = {
        "repair": "Reads again every slice of this time that is not certified: loads what is landed, pulls what is "
        "missing or suspect, within the provider's reach and quota. What is certified is left alone.",
        "replay": "Loads what landing holds of this time again, oldest first, without a call to the provider. Rows "
        "that are there already stay as they are.",
    }  # fmt: skip
    return Action(
        title=f"{kind.capitalize()} this time",
        explained=explained[kind],
        dag_id=dag_id,
        path=f"dags/{dag_id}/dagRuns",
        body={"logical_date": None, "conf": conf},
        shown={name: str(value).lower() if isinstance(value, bool) else value for name, value in conf.items()},
    )


def _backfill(dag_id: str, shown: dict[str, str], last: str) -> Action:
    body = {
        "dag_id": dag_id,
        "from_date": shown["from"],
        "to_date": last,
        "reprocess_behavior": "failed",
        "run_backwards": False,
        "max_active_runs": 2,
    }
    return Action(
        title="Backfill this time",
        explained="Runs the feed's DAG for every slice of this time that has no run, or whose run failed. A slice "
        "beyond the provider's reach is loaded from landing where landing holds it, else its run fails and says so.",
        dag_id=dag_id,
        path="backfills",
        body=body,
        shown={name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in body.items()},
    )
