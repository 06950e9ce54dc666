"""An answer to a chat request with `"store": true` -> a stored completion.

Stands beside the chat endpoint, which tells it of what the caller gets. What cannot be stored is answered all the
same, since the answer is there and paid for: a header says that it was not kept.

Source: OpenAI API reference, "Create chat completion", the fields store and metadata.
"""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from backends.base import Sink
from router.base import BadRequest, GatewayError, Request
from router.endpoints.errors import Header
from router.stored.assembling import Assembly
from router.stored.base import ObjectStore, StoredObject

KIND: Final = "chat.completion"
STORED: Final[Header] = (b"x-tandem-stored", b"true")
NOT_STORED: Final[Header] = (b"x-tandem-stored", b"false")

MAX_ID: Final = 256  # characters

_PATH: Final = "/chat/completions"
_TRUE: Final = Raw(b"true")
_NULL: Final = Raw(b"null")
_TOLD_AGAIN: Final = (  # fields of the request that the stored completion shows, null where they were not sent
    "tool_choice seed top_p temperature presence_penalty frequency_penalty service_tier tools response_format"
).split()
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Word = Annotated[str, Meta(max_length=64)]
_Value = Annotated[str, Meta(max_length=512)]
_Metadata = Annotated[dict[_Word, _Value], Meta(max_length=16)]

_read_metadata: Final = msgspec.json.Decoder(_Metadata | None).decode
_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode


class _Answer(Struct):
    id: str


_read_answer: Final = msgspec.json.Decoder(_Answer).decode


def metadata_of(value: Raw | None) -> Mapping[str, str]:
    """Return words that something can be found by; none where there are none.

    Raises:
        BadRequest: they are too many or too long, or no texts.
    """
    try:
        return {} if value is None else _read_metadata(value) or {}
    except msgspec.ValidationError as error:
        raise BadRequest(
            "metadata must be an object of up to 16 texts of up to 512 characters, their names of up to 64",
            code="invalid_value",
            param="metadata",
        ) from error


def is_id(text: str) -> bool:
    """Tell whether a completion can have this id; what cannot be written in an address cannot."""
    return 0 < len(text) <= MAX_ID and text.isprintable() and "/" not in text


class Storing:
    """Keeps what callers want kept.

    Args:
        count: told of each answer that was to be stored, by what became of it: "stored", "full" or "failed".
    """

    def __init__(self, objects: ObjectStore, *, count: Callable[[str], None]) -> None:
        self._objects, self._count = objects, count

    def wanted(self, request: Request) -> "Keeping | None":
        """Return what keeps the answer to this request; None where nothing asks for it.

        Raises:
            BadRequest: its metadata cannot be kept.
        """
        if request.fields.get("store") != _TRUE or request.path != _PATH:
            return None
        return Keeping(request, metadata_of(request.fields.get("metadata")), self._objects, self._count)


class Keeping:
    """Keeps one answer: a whole one with `keep`, a stream by `hear` and, where it ended well, `keep_heard`."""

    __slots__ = ("_assembly", "_count", "_metadata", "_objects", "_request")

    def __init__(
        self, request: Request, metadata: Mapping[str, str], objects: ObjectStore, count: Callable[[str], None]
    ) -> None:
        self._request, self._metadata, self._objects, self._count = request, metadata, objects, count
        self._assembly = Assembly()

    async def keep(self, body: bytes) -> Header:
        """Store a whole answer; returns the header that says whether it is."""
        stored = self._stored(body)
        if stored is None:
            self._count("failed")
            return NOT_STORED
        try:
            await self._objects.put(stored)
        except GatewayError as error:
            self._count("full" if error.code in {"store_full", "object_too_large"} else "failed")
            return NOT_STORED
        self._count("stored")
        return STORED

    def hear(self, data: bytes) -> None:
        """Take what passes of a stream."""
        self._assembly.hear(data)

    def beside(self, sink: Sink | None) -> Sink | None:
        """Return a sink that hears what is given to another one; None where there is none."""
        return None if sink is None else _Heard(self, sink)

    def keep_heard(self) -> None:
        """Hand over a stream that has ended; a plain call, since its caller may be gone."""
        body = self._assembly.completion()
        stored = None if body is None else self._stored(body)
        if stored is None:
            self._count("full" if self._assembly.is_too_long else "failed")
            return
        self._objects.put(stored)  # whoever asks for it next comes behind it
        self._count("stored")

    def _stored(self, body: bytes) -> StoredObject | None:
        """Return what is stored of an answer, which shows a few fields of its request; None where it has no id."""
        request = self._request
        try:
            answer, fields = _read_answer(body), _read_fields(body)
        except _UNREADABLE:
            return None
        if not is_id(answer.id):
            return None
        asked = {name: request.fields.get(name, _NULL) for name in _TOLD_AGAIN}
        shown = {**asked, "input_user": request.fields.get("user", _NULL), **fields}
        shown["request_id"] = Raw(msgspec.json.encode(request.caller_id or request.id))
        return StoredObject(
            tenant=request.tenant,
            kind=KIND,
            id=answer.id,
            created=time.time(),
            model=request.model,
            metadata=self._metadata,
            asked=bytes(request.fields["messages"]),
            body=msgspec.json.encode(shown),
        )


class _Heard(Struct):
    """A sink before another one."""

    keeping: Keeping
    sink: Sink

    def write(self, data: bytes) -> bool:
        self.keeping.hear(data)
        return self.sink.write(data)

    async def drain(self) -> None:
        await self.sink.drain()
