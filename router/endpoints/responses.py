"""`POST /v1/responses`: what callers who speak Responses need, beside the walk that all requests go.

Whoever does not say otherwise has the answer stored, as at OpenAI, so that the next request can go on from its id. An
answer that cannot be stored is given all the same, and says so.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw

from backends.dialects.reading import Fields, read_object
from backends.dialects.responses.from_responses import FromResponses
from backends.dialects.responses.listing import listed_items
from router.base import BadRequest, Unavailable
from router.endpoints.errors import WireError
from router.endpoints.translated import Asked
from router.model_names import AUTO
from router.stored.base import ObjectStore, StoredObject

KIND: Final = "response"
LONGEST_ID: Final = 128  # characters

_OWN_NAMES: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "logprobs": "include",
    "reasoning_effort": "reasoning.effort",
}
"""Params of a chat request by the words of who asked in Responses."""

_log = logging.getLogger(__name__)
_read_error: Final = msgspec.json.Decoder(dict[str, dict[str, Raw]]).decode
_read_items: Final = msgspec.json.Decoder(list[Fields]).decode
_read_response: Final = msgspec.json.Decoder(Fields).decode


@dataclass(frozen=True, slots=True)
class Responses:
    """The dialect; see `router.endpoints.translated.Dialect`."""

    objects: ObjectStore

    async def translate(self, body: bytes, *, tenant: str) -> Asked:
        """Return the request as chat completions, after all that was said before it.

        Raises:
            DialectError: it cannot be understood, or not be said in chat completions.
            BadRequest: it goes on from an answer that this tenant has not.
            Unavailable: what came before cannot be looked up.
        """
        asked = {"model": AUTO, **read_object(body)}
        earlier = await self._earlier(tenant, asked.get("previous_response_id"))
        translation = FromResponses(asked, earlier)
        if asked.get("store") is False:
            return Asked(translation)
        return Asked(translation, partial(self._keep, tenant, asked, translation, earlier))

    def error(self, error: WireError) -> WireError:
        """Return the error, which both dialects have in one shape, with the param that this caller sent."""
        try:
            told = _read_error(error.body)["error"]
            name = _OWN_NAMES.get(msgspec.json.decode(told["param"], type=str))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
            return error
        if name is None:
            return error
        body = msgspec.json.encode({"error": {**told, "param": name}})
        return WireError(error.status, error.headers, body)

    async def _earlier(self, tenant: str, previous: object) -> list[Fields]:
        """Return the items of the conversation that is gone on with; a name of a wrong kind is refused later."""
        if not previous or not isinstance(previous, str):
            return []
        kept = await self.objects.get(tenant, KIND, previous) if len(previous) <= LONGEST_ID else None
        if kept is None:
            raise BadRequest(
                f"no response with the id {previous[:LONGEST_ID]!a} is stored",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        output: list[Fields] = _read_response(kept.body)["output"]
        return [*_read_items(kept.asked), *output]

    async def _keep(self, tenant: str, asked: Fields, translation: FromResponses, earlier: Sequence[Fields]) -> bool:
        """Store the answer with all that led to it; tells whether it is stored, as it says."""
        response = translation.response
        if response is None:
            return True  # it broke, and says nothing
        items = [*earlier, *listed_items(translation.items, translation.id)]
        kept = StoredObject(
            tenant=tenant,
            kind=KIND,
            id=translation.id,
            created=time.time(),
            model=asked["model"],
            metadata=asked.get("metadata") or {},
            asked=msgspec.json.encode(items),
            body=msgspec.json.encode(response),
        )
        try:
            await self.objects.put(kept)
        except Unavailable as error:
            _log.warning("a response is not stored: %s", error)
            translation.unstored()
            return False
        return True
