"""`POST /v1/responses/compact`: a conversation that has grown long -> one item that stands for it.

A request like any other, which asks a model for a summary; the answer is not stored, since its caller sends it again.
"""

from dataclasses import dataclass

from backends.dialects.reading import read_object
from backends.dialects.responses.from_compaction import FromCompaction
from router.endpoints.errors import WireError
from router.endpoints.responses.dialect import Responses
from router.endpoints.translated import Asked
from router.model_names import AUTO


@dataclass(frozen=True, slots=True)
class Compaction:
    """The dialect; see `router.endpoints.translated.Dialect`."""

    responses: Responses

    async def translate(self, body: bytes, *, tenant: str) -> Asked:
        """Return the wish for a summary as chat completions, after all that was said before it.

        Raises:
            DialectError: it cannot be understood, or not be said in chat completions.
            BadRequest: it goes on from an answer that this tenant has not.
            Unavailable: what came before cannot be looked up.
        """
        asked = {"model": AUTO, **read_object(body)}
        earlier = await self.responses.earlier(tenant, asked.get("previous_response_id"))
        return Asked(FromCompaction(asked, earlier))

    def error(self, error: WireError) -> WireError:
        """Return the error with the param that this caller sent."""
        return self.responses.error(error)
