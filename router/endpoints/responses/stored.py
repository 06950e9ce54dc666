"""`/v1/responses/{id}` and what lies below it: responses that were stored, and the items that led to them.

One that is still being made is told as it is now. Each is its tenant's alone: to anybody else it is not there.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backends.dialects.reading import Fields
from backends.dialects.responses.replaying import events_of
from router.base import GatewayError
from router.endpoints.pages import cut_of, paged, whole_of
from router.endpoints.responses.answering import EVENTS, NOT_KEPT, Responding, streamed
from router.endpoints.responses.background import Background
from router.endpoints.responses.compaction import Compaction
from router.endpoints.responses.counts import ResponseCounts
from router.endpoints.responses.dialect import KIND, AskedResponse, Responses
from router.endpoints.translated import Translated
from router.guards.keys import Keys
from router.stored.base import LONGEST_ID, ObjectStore, StoredObject

_MOST_EVENTS: Final = 1 << 31

_read_items: Final = msgspec.json.Decoder(list[Fields]).decode
_read_response: Final = msgspec.json.Decoder(Fields).decode


class NoSuchResponse(GatewayError):
    """This tenant has none by that id."""

    status = 404
    kind = "invalid_request_error"

    def __init__(self, identifier: str) -> None:
        said = f"no response with the id {identifier[:LONGEST_ID]!a} is stored"
        super().__init__(said, code="not_found", param="response_id")


@dataclass(frozen=True, slots=True)
class StoredResponses:
    """The endpoints; each raises a `GatewayError` for a wrong key, an unknown id or a bad parameter."""

    objects: ObjectStore
    keys: Keys
    background: Background

    async def one(self, request: Request) -> Response:
        """Return a response; with `stream=true` the events that told of it, and those that are still to come."""
        kept = await self._kept(request)
        if request.query_params.get("stream", "false").lower() != "true":
            return Response(kept.body, media_type="application/json")
        after = whole_of(request, "starting_after", -1, most=_MOST_EVENTS)
        response = _read_response(kept.body)
        if response.get("background"):
            return streamed(self.background.events((kept.tenant, kept.id), after=after))
        return Response(events_of(response, after=after), headers=NOT_KEPT, media_type=EVENTS)

    async def erase(self, request: Request) -> Response:
        """Erase a response, and what led to it; ends the making of it."""
        tenant, identifier = self._asked(request)
        await self.background.stop((tenant, identifier))
        if not await self.objects.delete(tenant, KIND, identifier):
            raise NoSuchResponse(identifier)
        return JSONResponse({"id": identifier, "object": "response", "deleted": True})

    async def cancel(self, request: Request) -> Response:
        """End the making of a response; one that has ended already is returned as it is."""
        await self.background.stop(self._asked(request))
        kept = await self._kept(request)
        return Response(kept.body, media_type="application/json")

    async def items(self, request: Request) -> Response:
        """Return a page of the items that led to a response."""
        kept = await self._kept(request)
        cut, items = cut_of(request, order="desc"), _read_items(kept.asked)
        if cut.newest_first:
            items.reverse()
        items = _behind(items, cut.after)
        page = items[: cut.limit]
        shown = [Raw(msgspec.json.encode(each)) for each in page]
        return paged(shown, [each["id"] for each in page], has_more=len(items) > len(page))

    async def _kept(self, request: Request) -> StoredObject:
        tenant, identifier = self._asked(request)
        kept = await self.background.found((tenant, identifier))
        if kept is None:
            raise NoSuchResponse(identifier)
        return kept

    def _asked(self, request: Request) -> tuple[str, str]:
        tenant = self.keys.tenant_of(request.scope["headers"])
        identifier: str = request.path_params["identifier"]
        if len(identifier) > LONGEST_ID:
            raise NoSuchResponse(identifier)
        return tenant, identifier


def response_routes(translated: Translated[AskedResponse], objects: ObjectStore, background: Background) -> list[Route]:
    """Return all endpoints of Responses.

    Args:
        translated: answers what is asked.
        objects: where it is stored.
        background: answers those who do not wait.
    """
    chat, dialect = translated.chat, Responses(objects)
    stored = StoredResponses(objects, chat.keys, background)
    counts = ResponseCounts(chat, dialect)
    one = "/v1/responses/{identifier}"
    return [
        Route("/v1/responses", Responding(translated, background), methods=["POST"]),
        Route("/v1/responses/compact", Translated(chat, Compaction(dialect)), methods=["POST"]),
        Route("/v1/responses/input_tokens", counts.count, methods=["POST"]),
        Route(one, stored.one),
        Route(one, stored.erase, methods=["DELETE"]),
        Route(f"{one}/cancel", stored.cancel, methods=["POST"]),
        Route(f"{one}/input_items", stored.items),
    ]


def _behind(items: list[Fields], after: str) -> list[Fields]:
    """Return the items behind the one with this id; none where it is not there."""
    if not after:
        return items
    at = next((at for at, item in enumerate(items) if item["id"] == after), len(items))
    return items[at + 1 :]
