"""The pages inside Airflow's UI: coverage, reconciliation, breaks.

``app`` is what the plugin mounts. It is built with its first request: the plugin is loaded by schedulers and workers,
too, and those need neither FastAPI nor templates.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from threading import Lock
from typing import Any

from tieout.pages import COVERAGE_VIEW, RECONCILIATION_VIEW

_Message = MutableMapping[str, Any]


class LazyApp:
    """An ASGI application that imports and builds the real one when it is called first."""

    def __init__(self) -> None:
        self._app: Any = None
        self._lock = Lock()

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        await self._built()(scope, receive, send)

    def _built(self) -> Any:
        with self._lock:
            if self._app is None:
                from tieout.web.app import build_app

                self._app = build_app()
        return self._app


app = LazyApp()

#: What Airflow's navigation shows. Relative, so that it holds below a path prefix as well: Airflow's page has a base.
EXTERNAL_VIEWS: list[dict[str, Any]] = [
    {
        "name": "Coverage",
        "href": "tieout/coverage",
        "destination": "nav",
        "category": "browse",
        "url_route": COVERAGE_VIEW,
    },
    {
        "name": "Reconciliation",
        "href": "tieout/reconciliation",
        "destination": "nav",
        "category": "browse",
        "url_route": RECONCILIATION_VIEW,
    },
    {
        "name": "Coverage",
        "href": "tieout/dag?dag_id={DAG_ID}",
        "destination": "dag",
        "url_route": "tieout-dag-coverage",
    },
]
