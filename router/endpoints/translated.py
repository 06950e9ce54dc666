"""A request in another dialect -> the chat endpoint, and its answer in that dialect.

An endpoint around an endpoint: the caller's body is translated to chat completions and walks the same way, and what
that way says, a whole answer, a stream or an error, is translated as it is sent. Knows no dialect, and nothing of how
an answer comes about.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from backends.base import Sink, StreamBroken
from backends.dialects.base import DialectError, Translation
from router.base import BadRequest, GatewayError
from router.endpoints.chat import ChatCompletions, Scope, Send, send_error
from router.endpoints.errors import Header, WireError, plain_error, wire_error
from router.endpoints.whose import HEADER
from router.endpoints.wire import SINK, WHOLE, Receive, caller_id, read_body, refuse_repeated
from router.guards.parameters import read_document

_OK: Final = 200
_UNREADABLE: Final = "the backend's answer broke off"


class CallerTranslation(Translation, Protocol):
    """A translation for a caller, who must also be told when a stream breaks."""

    def fail(self, message: str) -> bytes:
        """Return the last event of a stream that failed; nothing follows it."""
        ...


class Asked(Struct, frozen=True):
    """One request that has been translated.

    Attributes:
        keep: stores the answer, which is whole when this is awaited; tells whether what was said of it is still true,
            or must be said anew. None where nothing is stored.
        conversation: which it belongs to, as its caller names it; "" where its caller names none.
    """

    translation: CallerTranslation
    keep: Callable[[], Awaitable[bool]] | None = None
    conversation: str = ""


Kind = TypeVar("Kind", bound=Asked)
Kind_co = TypeVar("Kind_co", bound=Asked, covariant=True)


class Dialect(Protocol[Kind_co]):
    """What is different for callers who speak it."""

    async def translate(self, body: bytes, *, tenant: str) -> Kind_co:
        """Return the request as chat completions; of a stream, one that asks for its usage.

        Args:
            body: a JSON object that the guards have let in.

        Raises:
            DialectError: it cannot be understood, or not be said in chat completions.
            GatewayError: it refers to something that is not there.
        """
        ...

    def error(self, error: WireError) -> WireError:
        """Return an answer that is an error in the dialect's own shape."""
        ...


@dataclass(frozen=True, slots=True)
class Translated(Generic[Kind]):
    """The endpoint, for one dialect.

    Attributes:
        chat: answers what was translated.
    """

    chat: ChatCompletions
    dialect: Dialect[Kind]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an error in the dialect's shape."""
        asked = await self.read(scope, receive, send)
        if asked is not None:
            await self.answer(asked, scope, send)

    async def read(self, scope: Scope, receive: Receive, send: Send) -> Kind | None:
        """Return what is asked; None where it was refused, which its caller has been told, or nobody is there."""
        try:
            return await read_translated(scope, receive, self.chat, self.dialect)
        except ConnectionAbortedError:
            return None  # nothing was parsed, nobody is there
        except GatewayError as error:
            await self.refuse(error, scope, send)
            return None

    async def refuse(self, error: GatewayError, scope: Scope, send: Send) -> None:
        """Tell a caller that the request is not answered."""
        self.chat.metrics.refuse(error.status)
        await send_error(send, self.dialect.error(wire_error(error)), request_id=caller_id(dict(scope["headers"])))

    async def answer(self, asked: Asked, scope: Scope, send: Send) -> None:
        """Answer what was read; every failure becomes an error in the dialect's shape."""
        if asked.conversation and all(name != HEADER for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (HEADER, asked.conversation.encode())]}
        extensions = scope.get("extensions", {})
        translated = _TranslatedSend(asked, self.dialect, send, extensions.get(SINK, {}).get("sink"))
        extensions = {**extensions, WHOLE: {}, SINK: {"sink": None if translated.sink is None else translated}}
        await self.chat({**scope, "extensions": extensions}, _gives(asked.translation.body), translated.send)


async def read_translated(scope: Scope, receive: Receive, chat: ChatCompletions, dialect: Dialect[Kind]) -> Kind:
    """Return what is asked, once its key and its body have passed the guards.

    Raises:
        GatewayError: it is refused.
        ConnectionAbortedError: the caller left before the end of the body.
    """
    sent = scope["headers"]
    headers = dict(sent)
    tenant = chat.keys.tenant_of(sent)
    refuse_repeated(sent, headers)
    body = await read_body(receive, headers, limit=chat.max_body, is_here=WHOLE in scope.get("extensions", ()))
    read_document(body)
    try:
        return await dialect.translate(body, tenant=tenant)
    except DialectError as error:
        raise BadRequest(str(error), code=error.code, param=error.param) from error


def _gives(body: bytes) -> Receive:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


class _TranslatedSend:
    """Takes what the chat endpoint sends, and the pieces that are poured past it, and says it in the dialect.

    Attributes:
        sink: where the rest of a stream goes at once; None where another server than ours serves.
    """

    __slots__ = ("_asked", "_dialect", "_head", "_is_over", "_send", "sink")

    def __init__(self, asked: Asked, dialect: Dialect[Kind], send: Send, sink: Sink | None) -> None:
        self._asked, self._dialect, self._send, self.sink = asked, dialect, send, sink
        self._head: MutableMapping[str, Any] | None = None  # waits for the first of the body, which may change it
        self._is_over = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take one ASGI message.

        Raises:
            StreamBroken: what came cannot be translated; the caller has been told.
        """
        if message["type"] == "http.response.start":
            self._head = message
            return
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        head, self._head = self._head, None
        if head is not None and is_last:
            await self._whole(head, body)
            return
        if head is not None:
            await self._send(head)
        if self._is_over:
            return  # the caller was told that it broke: nothing may follow, not even an end
        if not is_last:
            said = self._said(body)
            if said or head is not None:
                await self._send({"type": "http.response.body", "body": said, "more_body": True})
            self._check()
            return
        try:
            if self._asked.keep is not None:
                await self._asked.keep()
            said = self._asked.translation.finish()
        except DialectError:  # of what was held back until now
            said = self._asked.translation.fail(_UNREADABLE)
            await self._send({"type": "http.response.body", "body": said, "more_body": True})
            return
        if said:  # else the stream was no whole answer, and does not end like one
            await self._send({"type": "http.response.body", "body": said, "more_body": False})

    def write(self, data: bytes) -> bool:
        """Take a piece of a stream; see `backends.base.Sink`."""
        said = self._said(data)
        may_go_on = self.sink.write(said) if said and self.sink is not None else True
        self._check()
        return may_go_on

    async def drain(self) -> None:
        """Wait until the caller can take more."""
        if self.sink is not None:
            await self.sink.drain()

    async def _whole(self, head: MutableMapping[str, Any], body: bytes) -> None:
        if head["status"] != _OK:
            await self._refuse(WireError(head["status"], tuple(_sizeless(head["headers"])), body), head)
            return
        translation, keep = self._asked.translation, self._asked.keep
        try:
            said = translation.whole(body)
            if keep is not None and not await keep():
                said = translation.whole(body)
        except DialectError as error:
            await self._refuse(plain_error(502, _UNREADABLE, code="upstream_error"), head)
            raise StreamBroken("the answer is no chat completion") from error
        headers = [*_sizeless(head["headers"]), (b"content-length", b"%d" % len(said))]
        await self._send({**head, "headers": headers})
        await self._send({"type": "http.response.body", "body": said})

    async def _refuse(self, error: WireError, head: MutableMapping[str, Any]) -> None:
        """Send an error under the request id of the head that it came with."""
        error = self._dialect.error(error)
        ids = [header for header in head["headers"] if header[0] == b"x-request-id"]
        others = [header for header in error.headers if header[0] != b"x-request-id"]
        headers = [*others, *ids, (b"content-length", b"%d" % len(error.body))]
        await self._send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": error.body})

    def _said(self, piece: bytes) -> bytes:
        try:
            return self._asked.translation.feed(piece)
        except DialectError:
            self._is_over = True
            return self._asked.translation.fail(_UNREADABLE)

    def _check(self) -> None:
        if self._is_over:
            raise StreamBroken("the stream is none of chat completions")


def _sizeless(headers: Sequence[Header]) -> list[Header]:
    return [header for header in headers if header[0] != b"content-length"]
