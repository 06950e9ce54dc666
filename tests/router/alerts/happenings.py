"""Requests that have ended, labels, and an address that takes alerts, for tests of alerts."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.config import Config

from backends.base import Usage
from classifier.base import Score
from router.alerts.base import Settled
from router.base import Attempt, Decision, Intent, Label, Outcome, Record, Tier


def settled(  # noqa: PLR0913 - a request has many parts, each with a usual value
    *,
    tenant: str = "shop",
    score: float | None = 0.2,
    source: str = "s@1",
    reason: str = "score",
    tier: Tier = Tier.MINI,
    cost: int | None = 10,
    usage: Usage | None = Usage(3, None, 2),  # noqa: B008 - a frozen value
    usage_source: str = "provider",
    overhead: float | None = 0.001,
    outcome: Outcome = Outcome.ANSWERED,
    status: int = 200,
    error: str = "",
) -> Settled:
    """Return one request."""
    given = None if score is None else Score(score, source)
    decision = Decision(tier, reason, given, 0.5, "p@1")
    attempt = Attempt("primary", tier, "m", "h:1", usage, cost, "v", error, usage_source=usage_source)
    intent = Intent("r", "", tenant, "auto", stream=False, started=0.0, decision=decision)
    return intent, Record("r", outcome, status, (attempt,), 0.1, 0.2, None, overhead=overhead, intent=intent)


def label(weak: float | None, *, answered: Tier = Tier.MINI, grader: str = "agreement@1") -> Label:
    """Return what a sampled reply was worth."""
    return Label("r", "shop", 0.0, None, answered, 1.0, weak, 0.2, "s@1", 0.5, 0.1, grader)


@dataclass
class Place:
    """Takes alerts.

    Attributes:
        statuses: of the next answers; then all is taken.
        bodies: what came, also what was not taken.
        secrets: the header that each came with.
    """

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(json.loads(body))
        self.secrets.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        status = self.statuses.pop(0) if self.statuses else 200
        headers = [(b"content-length", b"0"), (b"location", self.url.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class _Quiet(uvicorn.Server):
    """A server that leaves signals alone."""

    def install_signal_handlers(self) -> None:
        """Install none."""


@asynccontextmanager
async def place(*statuses: int) -> AsyncGenerator[Place, None]:
    """Yield a real server on a real socket."""
    taker = Place(statuses=list(statuses))
    server = _Quiet(Config(taker, port=0, lifespan="off", log_config=None, access_log=False))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    taker.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/alerts"
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield taker
    finally:
        server.should_exit = True
        await ticking
        await server.shutdown()
