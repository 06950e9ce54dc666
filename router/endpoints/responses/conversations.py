"""`/v1/conversations` and what lies below it: conversations, and their items.

Each is its tenant's alone: to anybody else it is not there. What is put into one is checked as the input of a request
is, so that whoever goes on from it is not refused for what came before.

Source: OpenAI API reference, "Conversations".
"""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, needed, objects
from backends.dialects.responses.items import to_chat_messages
from backends.dialects.responses.listing import listed_items
from router.base import BadRequest, GatewayError
from router.endpoints.pages import cut_of, found_of, paged
from router.endpoints.storing import metadata_of
from router.endpoints.wire import read_body
from router.guards.keys import Keys
from router.guards.parameters import read_document
from router.stored.base import LONGEST_ID, ObjectStore, StoredObject, kind_below
from router.stored.conversations import KIND, Conversations

MOST_ADDED: Final = 20  # items at a time

_read_metadata: Final = msgspec.json.Decoder(dict[str, Raw]).decode


class NoSuchItem(GatewayError):
    """The conversation has none by that id."""

    status = 404
    kind = "invalid_request_error"

    def __init__(self, identifier: str, *, param: str = "item_id") -> None:
        said = f"the conversation has no item with the id {identifier[:LONGEST_ID]!a}"
        super().__init__(said, code="not_found", param=param)


@dataclass(frozen=True, slots=True)
class ConversationEndpoints:
    """The endpoints; each raises a `GatewayError` for a wrong key, an unknown id or a bad parameter.

    Attributes:
        max_body: bytes.
    """

    objects: ObjectStore
    keys: Keys
    max_body: int

    async def make(self, request: Request) -> Response:
        """Make one, with its first items."""
        tenant = self._tenant(request)
        document, metadata = await self._document(request)
        items = [] if document.get("items") is None else _items(document)
        made = await self._kept.make(tenant, metadata_of(metadata))
        try:
            if items:
                await self._kept.add(tenant, made.id, items)
        except GatewayError:
            await self.objects.delete(tenant, KIND, made.id)  # whose id nobody will ever know
            raise
        return JSONResponse(_shown(made))

    async def one(self, request: Request) -> Response:
        """Return one."""
        return JSONResponse(_shown(await self._kept.get(self._tenant(request), _identifier(request))))

    async def mark(self, request: Request) -> Response:
        """Give one other metadata."""
        tenant = self._tenant(request)
        _, metadata = await self._document(request)
        if metadata is None:
            raise BadRequest("the field metadata is missing", code="missing_required_parameter", param="metadata")
        return JSONResponse(_shown(await self._kept.mark(tenant, _identifier(request), metadata_of(metadata))))

    async def erase(self, request: Request) -> Response:
        """Erase one, with its items."""
        tenant, kept = await self._found(request)
        await self.objects.delete(tenant, KIND, kept.id)
        return JSONResponse({"id": kept.id, "object": "conversation.deleted", "deleted": True})

    async def items(self, request: Request) -> Response:
        """Return a page of items, the last ones first where nothing else is asked."""
        tenant, kept = await self._found(request)
        cut = cut_of(request, order="desc")
        if cut.after and await self._item(tenant, kept.id, cut.after) is None:
            raise NoSuchItem(cut.after, param="after")  # or the list would seem to end here
        found, has_more = await found_of(partial(self.objects.page, tenant, kind_below(KIND, kept.id)), cut)
        return paged([Raw(each.body) for each in found], [each.id for each in found], has_more=has_more)

    async def add(self, request: Request) -> Response:
        """Put items to the end."""
        tenant = self._tenant(request)
        document, _ = await self._document(request)
        items = _items(document)
        await self._kept.add(tenant, _identifier(request), items)
        shown = [Raw(msgspec.json.encode(each)) for each in items]
        return paged(shown, [each["id"] for each in items], has_more=False)

    async def item(self, request: Request) -> Response:
        """Return one item."""
        tenant, kept = await self._found(request)
        identifier = request.path_params["item"]
        found = await self._item(tenant, kept.id, identifier)
        if found is None:
            raise NoSuchItem(identifier)
        return Response(found.body, media_type="application/json")

    async def erase_item(self, request: Request) -> Response:
        """Erase one item; returns the conversation."""
        tenant, kept = await self._found(request)
        identifier = request.path_params["item"]
        is_name = len(identifier) <= LONGEST_ID
        if not (is_name and await self.objects.delete(tenant, kind_below(KIND, kept.id), identifier)):
            raise NoSuchItem(identifier)
        return JSONResponse(_shown(kept))

    @property
    def _kept(self) -> Conversations:
        return Conversations(self.objects)

    async def _found(self, request: Request) -> tuple[str, StoredObject]:
        tenant = self._tenant(request)
        return tenant, await self._kept.get(tenant, _identifier(request))

    async def _item(self, tenant: str, conversation: str, identifier: str) -> StoredObject | None:
        if len(identifier) > LONGEST_ID:
            return None
        return await self.objects.get(tenant, kind_below(KIND, conversation), identifier)

    async def _document(self, request: Request) -> tuple[Fields, Raw | None]:
        """Return what was sent, and its metadata as it stands there."""
        body = await read_body(request.receive, dict(request.scope["headers"]), limit=self.max_body)
        return read_document(body), _read_metadata(body).get("metadata")

    def _tenant(self, request: Request) -> str:
        return self.keys.tenant_of(request.scope["headers"])


def conversation_routes(stored: ObjectStore, keys: Keys, *, max_body: int) -> list[Route]:
    """Return all endpoints of conversations."""
    endpoints = ConversationEndpoints(stored, keys, max_body)
    path = "/v1/conversations"
    one = f"{path}/{{identifier}}"
    return [
        Route(path, endpoints.make, methods=["POST"]),
        Route(one, endpoints.one),
        Route(one, endpoints.mark, methods=["POST"]),
        Route(one, endpoints.erase, methods=["DELETE"]),
        Route(f"{one}/items", endpoints.items),
        Route(f"{one}/items", endpoints.add, methods=["POST"]),
        Route(f"{one}/items/{{item}}", endpoints.item),
        Route(f"{one}/items/{{item}}", endpoints.erase_item, methods=["DELETE"]),
    ]


def _items(document: Fields) -> list[Fields]:
    """Return the items that were sent as they are kept, under ids of our own.

    Raises:
        BadRequest: they are missing or too many, or one of them is none that a request could have.
    """
    try:
        given = objects(needed(document, "items", ""), "items")
        to_chat_messages([item for item, _ in given], [param for _, param in given])
    except DialectError as error:
        raise BadRequest(str(error), code=error.code, param=error.param) from error
    if len(given) > MOST_ADDED:
        said = f"{len(given)} items are more than {MOST_ADDED}: send them in several requests"
        raise BadRequest(said, code="invalid_value", param="items")
    return listed_items([item for item, _ in given], os.urandom(22).hex(), keeps_ids=False)


def _shown(kept: StoredObject) -> dict[str, Any]:
    return {"id": kept.id, "object": "conversation", "created_at": int(kept.body), "metadata": dict(kept.metadata)}


def _identifier(request: Request) -> str:
    identifier: str = request.path_params["identifier"]
    return identifier
