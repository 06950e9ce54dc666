"""`POST /v1/responses/compact`: a conversation that has grown long -> one item that stands for it.

A request like any other, which asks a model for a summary; the answer is not stored, since its caller sends it again.
A conversation that is kept here is named by `conversation`, as in a request for an answer. What is too long for an
answer is not too long for this: a model is told the first of it in one message.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from backends.dialects.reading import read_object
from backends.dialects.responses.from_compaction import FromCompaction
from backends.dialects.responses.shortening import Room
from router.endpoints.errors import WireError
from router.endpoints.responses.dialect import Responses
from router.endpoints.translated import Asked
from router.endpoints.wire import MAX_MESSAGES
from router.guards.documents import MAX_NAMES
from router.model_names import AUTO

_ROOM: Final = Room(MAX_MESSAGES, MAX_NAMES)


@dataclass(frozen=True, slots=True)
class Compaction:
    """The dialect; see `router.endpoints.translated.Dialect`."""

    responses: Responses

    async def translate(self, body: bytes, *, tenant: str) -> Asked:
        """Return the wish for a summary as chat completions, after all that was said before it.

        Raises:
            DialectError: it cannot be understood, or not be said in chat completions.
            BadRequest: it goes on from an answer that this tenant has not, or from more than can be read.
            NoSuchConversation: it names one that this tenant has not.
            Unavailable: what came before cannot be looked up.
        """
        asked = {"model": AUTO, **read_object(body)}
        earlier = await self.responses.earlier(tenant, asked, most=None)
        # Not on the loop: it may be far more than one answer goes on from.
        return Asked(await asyncio.to_thread(partial(FromCompaction, asked, earlier, room=_ROOM)))

    def error(self, error: WireError) -> WireError:
        """Return the error with the param that this caller sent."""
        return self.responses.error(error)
