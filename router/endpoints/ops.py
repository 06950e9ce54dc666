"""`/healthz`, `/readyz` and `/metrics`: for those who run the gateway."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backends.base import Backend
from router.base import Tier
from router.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Ops:
    """The three endpoints; none of them needs a key."""

    backends: Mapping[Tier, Backend]
    metrics: Metrics

    async def health(self, _request: Request) -> Response:
        """Tell that the process answers; says nothing of what it depends on."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Tell whether a request would be answered: 200 while one tier is ready, 503 otherwise."""
        ready = await self.readiness()
        status = "ready" if all(ready.values()) else "degraded" if any(ready.values()) else "unavailable"
        code = 200 if any(ready.values()) else 503
        return JSONResponse(
            {"status": status, "backends": {tier.value: is_ready for tier, is_ready in ready.items()}}, code
        )

    async def readiness(self) -> dict[Tier, bool]:
        """Ask both tiers at once."""
        answers = await asyncio.gather(*(backend.is_ready() for backend in self.backends.values()))
        return dict(zip(self.backends, answers, strict=True))

    async def figures(self, _request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)
