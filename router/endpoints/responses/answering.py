"""`POST /v1/responses`: an answer for whoever waits, a promise of one for whoever does not.

Who does not wait gets the Response as it is until it is made, or its events for as long as it likes to hear them.
"""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.responses import Response, StreamingResponse

from router.base import GatewayError
from router.endpoints.chat import Scope, Send
from router.endpoints.responses.background import Background
from router.endpoints.responses.dialect import AskedResponse
from router.endpoints.translated import Translated
from router.endpoints.wire import Receive

EVENTS: Final = "text/event-stream"
NOT_KEPT: Final = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}


@dataclass(frozen=True, slots=True)
class Responding:
    """The endpoint.

    Attributes:
        translated: answers those who wait.
        background: answers the others.
    """

    translated: Translated[AskedResponse]
    background: Background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an error in the caller's words."""
        asked = await self.translated.read(scope, receive, send)
        if asked is None:
            return
        if not asked.is_background:
            await self.translated.answer(asked, scope, send)
            return
        try:
            queued = await self.background.begin(asked, scope)
        except GatewayError as error:
            await self.translated.refuse(error, scope, send)
            return
        if asked.keeping.asked.get("stream"):
            answer = streamed(self.background.events((asked.keeping.tenant, queued["id"])))
        else:
            answer = Response(msgspec.json.encode(queued), media_type="application/json")
        await answer(scope, receive, send)


def streamed(events: AsyncIterable[bytes]) -> Response:
    """Return events as an answer that ends with them."""
    return StreamingResponse(events, headers=NOT_KEPT, media_type=EVENTS)
