"""`/v1/chat/completions` and what is below it: completions that were stored, to list, read, mark and delete.

A tenant finds its own alone; another one's id is answered like one that never was. Errors and pages have the shapes of
the OpenAI API, so that its clients walk through them.

Source: OpenAI API reference, "List chat completions", "Get chat completion" and those that follow.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from router.base import BadRequest, GatewayError
from router.endpoints.pages import MAX_TEXT, cut_of, found_of, paged, text_of
from router.endpoints.storing import KIND, is_id, metadata_of
from router.endpoints.wire import read_body
from router.guards.documents import DocumentReader
from router.guards.keys import Keys
from router.stored.base import ObjectStore, StoredObject

MAX_BODY: Final = 65_536  # bytes of metadata
MAX_WORDS: Final = 16  # of metadata, that a list is narrowed by

_documents: Final = DocumentReader()
_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_read_messages: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


class NoSuchCompletion(GatewayError):
    """The tenant has no such completion."""

    status = 404
    kind = "invalid_request_error"

    def __init__(self, identifier: str, *, param: str = "completion_id") -> None:
        said = f"there is no stored completion {identifier[:80]!a}: only those that were asked for with store are kept"
        super().__init__(said, code="not_found", param=param)


@dataclass(frozen=True, slots=True)
class StoredCompletions:
    """The endpoints; each raises a `GatewayError` where there is no valid key, no such object, or no store."""

    objects: ObjectStore
    keys: Keys

    async def page(self, request: Request) -> Response:
        """Return some of the tenant's completions, oldest first where nothing else is asked."""
        tenant = self.keys.tenant_of(request.scope["headers"])
        cut, model, words = cut_of(request, order="asc"), text_of(request, "model"), _words(request)
        if cut.after and await self._get(tenant, cut.after) is None:
            raise NoSuchCompletion(cut.after, param="after")  # or the list would seem to end here
        search = partial(self.objects.page, tenant, KIND, model=model, metadata=words)
        found, has_more = await found_of(search, cut)
        return paged([_shown(each) for each in found], [each.id for each in found], has_more=has_more)

    async def one(self, request: Request) -> Response:
        """Return, mark or delete one."""
        tenant = self.keys.tenant_of(request.scope["headers"])
        identifier = request.path_params["completion"]
        if request.method == "DELETE":
            return await self._delete(tenant, identifier)
        kept = await self._find(tenant, identifier)
        return await self._update(request, kept) if request.method == "POST" else _json(_shown(kept))

    async def messages(self, request: Request) -> Response:
        """Return what was asked, a message at a time."""
        kept = await self._find(self.keys.tenant_of(request.scope["headers"]), request.path_params["completion"])
        cut, shown = cut_of(request, order="asc"), _messages(kept)
        if cut.newest_first:
            shown.reverse()
        if cut.after:  # messages never change, so an unknown one is simply none that others stand behind
            places = [place for place, (identifier, _) in enumerate(shown, 1) if identifier == cut.after]
            shown = shown[places[0] :] if places else []
        page = shown[: cut.limit]
        return paged([one for _, one in page], [name for name, _ in page], has_more=len(shown) > len(page))

    async def _update(self, request: Request, kept: StoredObject) -> Response:
        """Give one other metadata, and return it."""
        try:
            body = await read_body(request.receive, dict(request.scope["headers"]), limit=MAX_BODY)
        except ConnectionAbortedError:
            return Response(status_code=408)  # nobody is there to read it
        _documents.read(body)
        fields = _read_fields(body)
        if "metadata" not in fields:
            raise BadRequest("the field metadata is missing", code="missing_required_parameter", param="metadata")
        kept = replace(kept, metadata=metadata_of(fields["metadata"]))
        await self.objects.put(kept)
        return _json(_shown(kept))

    async def _delete(self, tenant: str, identifier: str) -> Response:
        if not is_id(identifier) or not await self.objects.delete(tenant, KIND, identifier):
            raise NoSuchCompletion(identifier)
        return _json(msgspec.json.encode({"object": "chat.completion.deleted", "id": identifier, "deleted": True}))

    async def _find(self, tenant: str, identifier: str) -> StoredObject:
        kept = await self._get(tenant, identifier)
        if kept is None:
            raise NoSuchCompletion(identifier)
        return kept

    async def _get(self, tenant: str, identifier: str) -> StoredObject | None:
        return await self.objects.get(tenant, KIND, identifier) if is_id(identifier) else None


def stored_routes(path: str, objects: ObjectStore, keys: Keys) -> list[Route]:
    """Return the endpoints; a POST to the path itself is a chat request, and answered before it comes here."""
    stored = StoredCompletions(objects, keys)
    return [
        Route(path, stored.page, methods=["GET", "POST"]),
        Route(path + "/{completion:path}/messages", stored.messages),
        Route(path + "/{completion:path}", stored.one, methods=["GET", "POST", "DELETE"]),
    ]


def _words(request: Request) -> dict[str, str]:
    """Return what stands as `metadata[NAME]=VALUE`."""
    found = {
        name[len("metadata[") : -1]: value
        for name, value in request.query_params.multi_items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    if len(found) > MAX_WORDS or any(len(name) + len(value) > MAX_TEXT for name, value in found.items()):
        raise BadRequest(f"metadata may have {MAX_WORDS} short texts", code="invalid_value", param="metadata")
    return found


def _shown(kept: StoredObject) -> Raw:
    """Return a completion as a caller sees it."""
    return Raw(
        msgspec.json.encode({**_read_fields(kept.body), "metadata": Raw(msgspec.json.encode(dict(kept.metadata)))})
    )


def _messages(kept: StoredObject) -> list[tuple[str, Raw]]:
    """Return the messages with their ids; of one in parts, the parts stand beside it."""
    shown: list[tuple[str, Raw]] = []
    for place, message in enumerate(_read_messages(kept.asked)):
        identifier = f"{kept.id}-{place}"
        content = message.get("content")
        in_parts = isinstance(content, list)
        whole = {
            "refusal": None,
            "name": None,
            **message,
            "id": identifier,
            "content": None if in_parts else content,
            "content_parts": content if in_parts else None,
        }
        shown.append((identifier, Raw(msgspec.json.encode(whole))))
    return shown


def _json(body: bytes | Raw) -> Response:
    return Response(bytes(body), media_type="application/json")
