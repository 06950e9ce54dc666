"""`/healthz`, `/readyz` and `/metrics`: for those who run the gateway."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backends.base import Backend
from router.base import Tier


@dataclass(frozen=True, slots=True)
class Ops:
    """The three endpoints; none of them needs a key.

    Attributes:
        scrape: returns all figures in Prometheus' text format.
        is_stopping: tells whether new requests had better go elsewhere.
    """

    backends: Mapping[Tier, Backend]
    scrape: Callable[[], Awaitable[bytes]]
    is_stopping: Callable[[], bool]

    async def health(self, _request: Request) -> Response:
        """Tell that the process answers; says nothing of what it depends on."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Tell whether a request would be answered: 200 while one tier is ready, 503 otherwise and at the end."""
        ready = await self.readiness()
        status = "ready" if all(ready.values()) else "degraded" if any(ready.values()) else "unavailable"
        if self.is_stopping():
            status = "stopping"
        code = 200 if status in ("ready", "degraded") else 503
        return JSONResponse(
            {"status": status, "backends": {tier.value: is_ready for tier, is_ready in ready.items()}}, code
        )

    async def readiness(self) -> dict[Tier, bool]:
        """Ask both tiers at once."""
        answers = await asyncio.gather(*(backend.is_ready() for backend in self.backends.values()))
        return dict(zip(self.backends, answers, strict=True))

    async def figures(self, _request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(await self.scrape(), media_type=CONTENT_TYPE_LATEST)
