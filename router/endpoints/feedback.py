"""`POST /v1/feedback`: what a person said of an answer, or did about it -> a rating or a signal in the ledger.

A request of another tenant is answered like one that never was. The last rating of a request stands, and the last
signal of each kind and source.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.base import BadRequest, GatewayError, Ledger, Rating, Signal
from router.endpoints.wire import invalid, read_body
from router.guards.documents import DocumentReader
from router.guards.keys import Keys
from router.metrics.counters import Metrics
from router.quality.signals import signal_source, signal_value

MAX_BODY = 16_384  # bytes
MAX_COMMENT = 2_000  # characters
_documents = DocumentReader()
_SCORES: Final[Mapping[object, float]] = {"good": 1.0, "bad": 0.0}


class UnknownRequest(GatewayError):
    """The tenant has no such request."""

    status = 404
    kind = "invalid_request_error"


class _Feedback(Struct, forbid_unknown_fields=True):
    request_id: Annotated[str, Meta(min_length=1, max_length=128)]
    rating: str | int | float | bool | None = None  # told apart below, in words that say what belongs there
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    comment: Annotated[str, Meta(max_length=MAX_COMMENT)] | None = None
    kind: str | None = None
    value: str | int | float | bool | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """The endpoint."""

    ledger: Ledger
    keys: Keys
    metrics: Metrics

    async def rate(self, request: Request) -> Response:
        """Keep a rating and say whose it is.

        Raises:
            GatewayError: no valid key, a body that is none, no such request, or a ledger that cannot be written.
        """
        tenant = self.keys.tenant_of(request.scope["headers"])
        try:
            body = await read_body(request.receive, dict(request.scope["headers"]), limit=MAX_BODY)
        except ConnectionAbortedError:
            return Response(status_code=408)  # nobody is there to read it
        said = _read(body)
        if said.kind is not None or said.value is not None or said.source is not None:
            return await self._signal(said, tenant)
        score = said.score if said.rating is None else _SCORES.get(said.rating)
        if score is None or (said.rating is not None and said.score is not None):
            raise BadRequest(
                'send either "rating" ("good" or "bad") or "score" (0 to 1), or else "kind" with its "value"',
                code="invalid_value",
                param="rating",
            )
        ours = _known(await self.ledger.rate(Rating(said.request_id, tenant, time.time(), score, said.comment)))
        self.metrics.rate("score" if said.rating is None else str(said.rating))
        return JSONResponse({"object": "feedback", "request_id": ours, "score": score})

    async def _signal(self, said: _Feedback, tenant: str) -> Response:
        if said.rating is not None or said.score is not None or said.comment is not None:
            raise BadRequest(
                'send either "kind" with its "value", or "rating" or "score" with a "comment"',
                code="invalid_value",
                param="kind",
            )
        kind = said.kind or ""
        value, source = signal_value(kind, said.value), signal_source(kind, said.source)
        ours = _known(await self.ledger.signal(Signal(said.request_id, tenant, time.time(), kind, value, source)))
        self.metrics.rate(kind)
        return JSONResponse({"object": "feedback", "request_id": ours, "kind": kind, "value": value, "source": source})


def _known(ours: str | None) -> str:
    """Return our id of a request; one that the tenant has not is answered like one that never was."""
    if ours is None:
        raise UnknownRequest(
            "there is no such request: send the x-request-id of its answer",
            code="request_not_found",
            param="request_id",
        )
    return ours


def _read(body: bytes) -> _Feedback:
    try:
        return msgspec.convert(_documents.read(body), _Feedback)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
