"""The runbook inside Airflow: what an alert of a kind means and what to do, as ``docs/runbook`` has it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from markdown_it import MarkdownIt
from markupsafe import Markup

import tieout
from tieout.core.alerts import KINDS
from tieout.web.access import Seen
from tieout.web.query import Query
from tieout.web.render import page

router = APIRouter()

#: Beside ``plugins``, as everything that is deployed together.
FOLDER = Path(tieout.__file__).parents[2] / "docs" / "runbook"


@router.get("/runbook")
def runbook_page(request: Request, viewer: Seen) -> Response:
    """Show the page of one kind of alert, or which kinds there are."""
    query = Query.of(request)
    kind = query.choice("kind", ("", *KINDS), "")
    return page("runbook.html", kind=kind, kinds=KINDS, text=_text(kind) if kind else None)


@cache
def _text(kind: str) -> Markup | None:
    """Return the page as HTML; markup that stands in it is text. None where the documents were not deployed."""
    try:
        written = (FOLDER / f"{kind}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return Markup(MarkdownIt("commonmark", {"html": False}).render(written))
