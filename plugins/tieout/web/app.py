"""The FastAPI application of the pages: its routes, its errors, its headers and its two files of style and script."""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from airflow.configuration import conf
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from tieout.core.errors import ConfigError, TieoutError
from tieout.web import actions, alerts, breaks, coverage, findings, reconciliation, rejects, runbook
from tieout.web.access import LoggedIn
from tieout.web.middleware import AnswerHeaders
from tieout.web.render import page
from tieout.web.warehouse import NotSetUp

log = logging.getLogger(__name__)

#: Nothing from elsewhere, nothing inline, shown in frames of this site only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # The path of a page names agents and users; only this site is told.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ASSETS = {"tieout.css": "text/css; charset=utf-8", "tieout.js": "text/javascript; charset=utf-8"}


def build_app() -> FastAPI:
    """Return the application; every route of it asks for a logged-in user."""
    app = FastAPI(title="tieout", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[LoggedIn])
    for module in (coverage, reconciliation, breaks, findings, rejects, alerts, actions, runbook):
        app.include_router(module.router)
    app.add_api_route("/", _home, methods=["GET"])
    app.add_api_route("/static/{name}", _asset, methods=["GET"])
    app.add_middleware(AnswerHeaders, headers=HEADERS)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(TieoutError, _failed)
    app.add_exception_handler(Exception, _broken)
    return app


def _home() -> Response:
    return RedirectResponse("coverage", status_code=302)


def _asset(name: str) -> Response:
    """Return the style sheet or the script; their address carries the version, so that browsers may keep them."""
    if name not in ASSETS:
        raise HTTPException(404, "There is no such file.")
    content = files("tieout.web").joinpath(f"static/{name}").read_bytes()
    return Response(content, media_type=ASSETS[name], headers={"Cache-Control": "private, max-age=3600"})


def _message(status: int, title: str, said: str, advice: str = "") -> Response:
    return page("message.html", status=status, title=title, said=said, advice=advice)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    titles = {400: "This address is not complete", 403: "Not allowed", 404: "Not found"}
    if error.status_code == 401:
        return _to_login(request) or _message(401, "Not logged in", "Log in to Airflow, then load this page again.")
    title = titles.get(error.status_code, "This did not work")
    response = _message(error.status_code, title, str(error.detail))
    response.headers.update(error.headers or {})
    if response.headers.get("allow") == "GET":
        response.headers["Allow"] = "GET, HEAD"
    return response


def _to_login(request: Request) -> Response | None:
    """Return the way to Airflow's login and back, for a person who opens a page."""
    is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if not is_page or "x-tieout-part" in request.headers:
        return None
    prefix = request.scope.get("root_path", "").removesuffix("/tieout")
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    back = str(request.url)
    # The address Airflow was told is the one it takes for safe to return to.
    if base and (place := request.url.path.find("/tieout/")) >= 0:
        back = f"{base}{request.url.path[place:]}" + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{prefix}/api/v2/auth/login?{urlencode({'next': back})}", status_code=302)


def _invalid(request: Request, error: Exception) -> Response:
    return _message(400, "This address is not complete", "A parameter of the request is missing or malformed.")


def _failed(request: Request, error: Exception) -> Response:
    """Tell a failure of ours: what a person asked for cannot be done, or the warehouse cannot be read now."""
    assert isinstance(error, TieoutError)
    if isinstance(error, ConfigError):
        return _message(409, "This cannot be done", error.message, error.advice)
    if isinstance(error, NotSetUp):
        log.warning("a page could not be shown: %s", error)
        return _message(503, "The warehouse is not set up", error.message, error.advice)
    # Its text may name hosts and databases: for the log, not for whoever may open pages.
    log.warning("a page could not be shown: %s", error)
    return _message(
        503, "The warehouse did not answer", "It could not be reached, or it took too long.",
        "Try again in a moment, or ask for less: fewer days, one agent. Airflow's log says more.",
    )  # fmt: skip


def _broken(request: Request, error: Exception) -> Response:
    log.error("a page failed: %s", request.url.path, exc_info=error)
    # This is made outside of the middleware: headers are set here as well.
    response = _message(500, "This page failed", "Airflow's log says why.")
    response.headers.update({**HEADERS, "Cache-Control": "no-store"})
    return response


def routes(app: FastAPI) -> list[Any]:
    """Return the routes, for whoever checks that all of them are guarded."""
    return list(app.routes)
