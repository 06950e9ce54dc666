"""`POST /v1/route`: where a chat request would go, without sending it anywhere.

Nothing is answered, so nothing is recorded.
"""

import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from router.endpoints.wire import read_body, read_chat, refuse_repeated
from router.guards.keys import Keys
from router.model_names import DEFAULT_NAMES, ModelNames
from router.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Decisions:
    """The endpoint; takes the same body as a chat completion."""

    pipeline: Pipeline
    keys: Keys
    max_body: int
    names: ModelNames = DEFAULT_NAMES

    async def decide(self, request: Request) -> Response:
        """Return tier, reason, score and thresholds; `verify` is null where no reply would be verified.

        Raises:
            GatewayError: as for a chat completion.
        """
        headers = dict(request.scope["headers"])
        tenant = self.keys.tenant_of(request.scope["headers"])
        refuse_repeated(request.scope["headers"], headers)
        try:
            body = await read_body(request.receive, headers, limit=self.max_body)
        except ConnectionAbortedError:
            return Response(status_code=408)  # nobody is there to read it
        asked = read_chat(
            body,
            headers,
            tenant=tenant,
            received=time.monotonic(),
            timeout=0.0,
            keep_sampled=False,
            addresses=True,  # nobody is asked, so nothing is fetched
            names=self.names,
        )
        decision = self.pipeline.decide(asked)
        score = decision.score
        return JSONResponse(
            {
                "tier": decision.tier,
                "model": self.pipeline.routes.by_tier[decision.tier].model,
                "reason": decision.reason,
                "score": None if score is None else score.value,
                "scorer": None if score is None else score.source,
                "threshold": decision.threshold,
                "verify": decision.verify,
                "policy": decision.policy,
            }
        )
