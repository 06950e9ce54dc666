"""`/healthz`, `/readyz` and `/metrics`: for those who run the gateway."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backends.base import Backend
from router.base import Tier

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ops:
    """The three endpoints; none of them needs a key.

    Attributes:
        scrape: returns all figures in Prometheus' text format.
        is_stopping: tells whether new requests had better go elsewhere.
        is_refused: tells whether the ledger takes nothing now, so that no request is answered.
    """

    backends: Mapping[Tier, Backend]
    scrape: Callable[[], Awaitable[bytes]]
    is_stopping: Callable[[], bool]
    is_refused: Callable[[], bool]

    async def health(self, _request: Request) -> Response:
        """Tell that the process answers; says nothing of what it depends on."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Tell whether a request would be answered: 200 while one tier is ready, 503 with the reason otherwise."""
        ready = await self.readiness()
        told: dict[str, object] = {"backends": {tier.value: is_ready for tier, is_ready in ready.items()}}
        reason = self._reason(ready)
        if not reason:
            return JSONResponse({"status": "ready" if all(ready.values()) else "degraded", **told})
        status = "stopping" if self.is_stopping() else "unavailable"
        return JSONResponse({"status": status, "reason": reason, **told}, 503)

    async def readiness(self) -> dict[Tier, bool]:
        """Ask both tiers at once; one of a kind from outside that raises is not ready, and the log has why."""
        asked = (backend.is_ready() for backend in self.backends.values())
        answers = await asyncio.gather(*asked, return_exceptions=True)
        ready = dict[Tier, bool]()
        for tier, answer in zip(self.backends, answers, strict=True):
            if isinstance(answer, BaseException):
                _log.error("the backend of %s cannot tell whether it is ready", tier, exc_info=answer)
            ready[tier] = not isinstance(answer, BaseException) and answer
        return ready

    def _reason(self, ready: Mapping[Tier, bool]) -> str:
        """Return why no request would be answered; "" where one would."""
        if self.is_stopping():
            return "the gateway is stopping"
        if self.is_refused():
            return "the ledger cannot be written; the log says why"
        return "" if any(ready.values()) else "no backend is ready"

    async def figures(self, _request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(await self.scrape(), media_type=CONTENT_TYPE_LATEST)
