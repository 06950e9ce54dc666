"""`POST /reload`, `POST /restart` and `GET /status` on a port of their own: for those who run the gateway.

Takes no key of a tenant, and nothing that a page in somebody's browser could have sent.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.base import BadRequest, GatewayError, Unauthorized
from router.config.models import Config
from router.endpoints.errors import wire_error
from router.running.reloading import Reloaded

_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Admin:
    """What can be asked for.

    Attributes:
        config: that which answers now, for its keys.
        restart: replaces each worker; None where there is one process alone. Returns once all are new.
        status: tells how things are.
    """

    config: Callable[[], Config]
    reload: Callable[[], Awaitable[Reloaded]]
    restart: Callable[[], Awaitable[None]] | None
    status: Callable[[], Mapping[str, object]]

    def application(self) -> Starlette:
        """Return what answers on the port."""
        return Starlette(
            routes=[
                Route("/admin/reload", self._reload, methods=["POST"]),
                Route("/admin/restart", self._restart, methods=["POST"]),
                Route("/admin/status", self._status, methods=["GET"]),
            ],
            exception_handlers={GatewayError: _refused},
        )

    async def _reload(self, request: Request) -> Response:
        self._admit(request)
        found = await self.reload()
        status = HTTPStatus.UNPROCESSABLE_ENTITY if found.faults else HTTPStatus.OK
        return JSONResponse(asdict(found), status)

    async def _restart(self, request: Request) -> Response:
        self._admit(request)
        if self.restart is None:
            raise BadRequest("one process cannot be replaced under its requests; configure workers", code="one_worker")
        await self.restart()
        return JSONResponse(dict(self.status()))

    async def _status(self, request: Request) -> Response:
        self._admit(request)
        return JSONResponse(dict(self.status()))

    def _admit(self, request: Request) -> None:
        """Raise where this caller may not ask for anything.

        Raises:
            Unauthorized: a wrong key, none where one is configured, or any where none is.
            BadRequest: it comes from a browser.
        """
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            raise BadRequest("this port is not for browsers", code="from_a_browser")
        server, sent = self.config().server, request.headers.getlist("authorization")
        if server.admin_key is None and not sent:
            return
        wanted = b"" if server.admin_key is None else server.admin_key.get_secret_value().encode()
        text = sent[0] if len(sent) == 1 and sent[0][: len(_SCHEME)].lower() == _SCHEME else ""
        given = text[len(_SCHEME) :].strip().encode("latin-1", "replace")
        if not wanted or not hmac.compare_digest(given, wanted):
            raise Unauthorized("this port takes no key but server.admin_key", code="invalid_admin_key")


async def _refused(_request: Request, error: Exception) -> Response:
    told = wire_error(error)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in told.headers}
    return Response(told.body, told.status, headers=headers)
