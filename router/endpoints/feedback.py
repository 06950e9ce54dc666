"""`POST /v1/feedback`: what a person said of an answer -> a rating in the ledger.

A request of another tenant is answered like one that never was. The last rating of a request stands.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.base import BadRequest, GatewayError, Ledger, Rating
from router.endpoints.wire import invalid, read_body
from router.guards.documents import DocumentReader
from router.guards.keys import Keys
from router.metrics.counters import Metrics

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
        score = said.score if said.rating is None else _SCORES.get(said.rating)
        if score is None or (said.rating is not None and said.score is not None):
            raise BadRequest(
                'send either "rating" ("good" or "bad") or "score" (0 to 1)', code="invalid_value", param="rating"
            )
        rating = Rating(said.request_id, tenant, time.time(), score, said.comment)
        ours = await self.ledger.rate(rating)
        if ours is None:
            raise UnknownRequest(
                "there is no such request: send the x-request-id of its answer",
                code="request_not_found",
                param="request_id",
            )
        self.metrics.rate("score" if said.rating is None else str(said.rating))
        return JSONResponse({"object": "feedback", "request_id": ours, "score": score})


def _read(body: bytes) -> _Feedback:
    try:
        return msgspec.convert(_documents.read(body), _Feedback)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
