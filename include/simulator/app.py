"""The ASGI application: the providers' endpoints behind the gate, and the control API beside them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.control import control_routes
from simulator.gate import Simulator
from simulator.wire.base import Endpoint


class _WithTransport:
    """Put the connection's transport into the scope; uvicorn's `receive` is bound to the object that holds
    it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["simulator.transport"] = getattr(getattr(receive, "__self__", None), "transport", None)
        await self._app(scope, receive, send)


def build_app(simulator: Simulator) -> Starlette:
    """The ASGI application of `simulator`."""

    def route(endpoint: Endpoint) -> Route:
        async def handler(request: Request) -> Response:
            return await simulator.handle(endpoint, request)

        return Route(endpoint.path, handler, methods=[endpoint.method])

    return Starlette(
        routes=[*(route(endpoint) for endpoint in simulator.endpoints), *control_routes(simulator)],
        middleware=[Middleware(_WithTransport)],
    )
