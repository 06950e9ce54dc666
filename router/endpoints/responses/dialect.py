"""`POST /v1/responses`: what callers who speak Responses need, beside the walk that all requests go.

Whoever does not say otherwise has the answer stored, as at OpenAI, so that the next request can go on from its id. An
answer that cannot be stored is given all the same, and says so.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw, Struct

from backends.dialects.reading import Fields, read_object
from backends.dialects.responses.asking import check, conversation_of
from backends.dialects.responses.from_responses import FromResponses
from backends.dialects.responses.listing import listed_items
from backends.dialects.responses.output_items import COMPLETED, INCOMPLETE
from router.base import BadRequest, Unavailable
from router.endpoints.errors import WireError
from router.endpoints.translated import Asked
from router.endpoints.wire import MAX_MESSAGES
from router.guards.documents import MAX_NAMES
from router.guards.parameters import read_document
from router.model_names import AUTO
from router.stored.base import LONGEST_ID, ObjectStore, StoredObject
from router.stored.conversations import MOST_READ, Conversations, NoSuchConversation, TooLong

KIND: Final = "response"
_WHOLE: Final = (COMPLETED, INCOMPLETE)
"""Statuses of answers that can be gone on from; the latter were cut at a limit, and are as whole as they get."""

_OWN_NAMES: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "logprobs": "include",
    "reasoning_effort": "reasoning.effort",
}
"""Params of a chat request by the words of who asked in Responses."""

_NAME: Final = b'":'  # what stands behind each name of a field

_log = logging.getLogger(__name__)
_read_error: Final = msgspec.json.Decoder(dict[str, dict[str, Raw]]).decode
_read_items: Final = msgspec.json.Decoder(list[Fields]).decode
_read_response: Final = msgspec.json.Decoder(Fields).decode


class Keeping(Struct, frozen=True):
    """Keeps what comes of one request: the answer by its id, and what was said in its conversation.

    Attributes:
        asked: the request; `earlier` are the items of the conversation before it.
        objects: where answers are stored.
    """

    tenant: str
    asked: Fields
    translation: FromResponses
    earlier: Sequence[Fields]
    objects: ObjectStore

    async def keep(self) -> bool:
        """Keep a whole answer; tells whether what it says of itself is still true, or it must be said anew."""
        response = self.translation.response
        if response is None:
            return True  # it broke, and says nothing
        is_joined = await self.join()
        if self.asked.get("store") is False:
            return is_joined
        if not is_joined:
            response = {**response, "conversation": None}
        try:
            await self.objects.put(self.stored(response))
        except Unavailable as error:
            _log.warning("a response is not stored: %s", error)
            self.translation.unstored()
            return False
        return is_joined

    async def join(self) -> bool:
        """Add what was asked and answered to the conversation; False where that says now that it is in none."""
        translation = self.translation
        response = translation.response
        if not translation.conversation or response is None:
            return True
        items = [*self._listed(), *response["output"]]
        try:
            await Conversations(self.objects).add(self.tenant, translation.conversation, items)
        except (NoSuchConversation, Unavailable) as error:
            _log.warning("a response is not added to its conversation: %s", error)
            translation.left_out()
            return False
        return True

    def stored(self, response: Fields) -> StoredObject:
        """Return the answer, whole or not, as it is stored: with all that led to it."""
        return StoredObject(
            tenant=self.tenant,
            kind=KIND,
            id=self.translation.id,
            created=time.time(),
            model=self.asked["model"],
            metadata=self.asked.get("metadata") or {},
            asked=msgspec.json.encode([*self.earlier, *self._listed()]),
            body=msgspec.json.encode(response),
        )

    def _listed(self) -> list[Fields]:
        translation = self.translation
        return listed_items(translation.items, translation.id, keeps_ids=not translation.conversation)


class AskedResponse(Asked, frozen=True, kw_only=True):
    """One request in Responses."""

    keeping: Keeping
    is_background: bool


@dataclass(frozen=True, slots=True)
class Responses:
    """The dialect; see `router.endpoints.translated.Dialect`."""

    objects: ObjectStore

    async def translate(self, body: bytes, *, tenant: str) -> AskedResponse:
        """Return the request as chat completions, after all that was said before it.

        Raises:
            DialectError: it cannot be understood, or not be said in chat completions.
            BadRequest: it goes on from an answer that this tenant has not.
            NoSuchConversation: it belongs to one that this tenant has not.
            TooLong: more was said before it than a chat may have.
            Unavailable: what came before cannot be looked up.
        """
        asked = {"model": AUTO, **read_object(body)}
        check(asked)
        conversation = conversation_of(asked)
        earlier = await self.earlier(tenant, asked)
        translation = FromResponses(asked, earlier)
        before = "conversation" if conversation else "previous_response_id"
        _refuse_long(translation, before=before if earlier else "input")
        keeping = Keeping(tenant, asked, translation, earlier, self.objects)
        return AskedResponse(
            translation,
            keeping.keep if conversation or asked.get("store") is not False else None,
            conversation,
            keeping=keeping,
            is_background=translation.is_background,
        )

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

    async def earlier(self, tenant: str, asked: Fields, *, most: int | None = MOST_READ) -> list[Fields]:
        """Return the items of what is gone on from; a name of a wrong kind is refused later.

        Args:
            asked: names a conversation, or a response; or neither, and nothing was said before.
            most: see `Conversations.said`.

        Raises:
            BadRequest: this tenant has no such answer, or it is not whole.
            NoSuchConversation: this tenant has none by that name.
            Unavailable: it cannot be looked up.
        """
        if conversation := conversation_of(asked):
            return await Conversations(self.objects).said(tenant, conversation, most=most)
        previous = asked.get("previous_response_id")
        if not previous or not isinstance(previous, str):
            return []
        kept = await self.objects.get(tenant, KIND, previous) if len(previous) <= LONGEST_ID else None
        if kept is None:
            raise BadRequest(
                f"no response with the id {previous[:LONGEST_ID]!a} is stored",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        before = _read_response(kept.body)
        if before["status"] not in _WHOLE:
            raise BadRequest(
                f"the response {previous[:LONGEST_ID]!a} is {before['status']}: go on from one that was completed",
                code="previous_response_not_whole",
                param="previous_response_id",
            )
        return [*_read_items(kept.asked), *before["output"]]


def _refuse_long(translation: FromResponses, *, before: str) -> None:
    """Refuse what no chat may have, in the words of who knows it as a conversation.

    Args:
        before: the field that names what was said.

    Raises:
        TooLong: it is too long.
    """
    if translation.length > MAX_MESSAGES:
        raise TooLong(
            f"the conversation has {translation.length} messages, and at most {MAX_MESSAGES} are answered", param=before
        )
    if translation.body.count(_NAME) > MAX_NAMES:  # or fewer: a text may hold it, too
        try:
            read_document(translation.body)
        except BadRequest as error:
            if error.code != "too_many_keys":
                raise
            raise TooLong(f"the conversation has more than {MAX_NAMES} names of fields", param=before) from error
