"""`POST /v1/responses/input_tokens`: how many tokens the input has, for the model that would answer it."""

import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.endpoints.chat import ChatCompletions
from router.endpoints.token_counts import count
from router.endpoints.translated import Asked, Dialect, read_translated


@dataclass(frozen=True, slots=True)
class ResponseCounts:
    """The endpoint.

    Attributes:
        chat: reads what is asked, and knows who would answer it.
    """

    chat: ChatCompletions
    dialect: Dialect[Asked]

    async def count(self, request: Request) -> Response:
        """Return the count, and how it is known; nothing is recorded, since nothing is spent.

        Raises:
            GatewayError: as for a request that is answered.
        """
        received = time.monotonic()
        try:
            asked = await read_translated(request.scope, request.receive, self.chat, self.dialect)
        except ConnectionAbortedError:
            return Response(status_code=408)  # nobody is there to read it
        headers = dict(request.scope["headers"])
        chat = self.chat.read(
            asked.translation.body,
            headers,
            tenant=self.chat.keys.tenant_of(request.scope["headers"]),
            received=received,
            timeout=0.0,
            keep_sampled=False,
        )
        counted = await count(chat, self.chat.pipeline)
        body = {"object": "response.input_tokens", "input_tokens": counted.tokens}
        return JSONResponse(body, headers={"x-tandem-tier": counted.tier, "x-tandem-count": counted.by})
