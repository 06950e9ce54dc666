"""`POST /v1/messages` and `/v1/messages/count_tokens`: for callers who speak Anthropic's Messages.

What is asked walks the way of a chat request; answers, streams and errors stand in the caller's dialect. Under these
paths everything does, also what never became a request.

Source: Anthropic API reference, "Messages", "Count tokens in a Message" and "Errors".
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.routing import Route

from backends.dialects.base import DialectError
from backends.dialects.messages.errors import message_error
from backends.dialects.messages.from_messages import prompt_of, translate
from router.base import BadRequest, GatewayError, Request
from router.endpoints.chat import ChatCompletions, Scope, Send, send_error
from router.endpoints.errors import Header, WireError, plain_error, wire_error
from router.endpoints.token_counts import count
from router.endpoints.translated import Asked, Translated
from router.endpoints.wire import WHOLE, Receive, caller_id, new_id, read_body, refuse_repeated
from router.guards.parameters import read_document

PATH: Final = "/v1/messages"
COUNT_PATH: Final = "/v1/messages/count_tokens"

_OK: Final = 200
_JSON: Final = (b"content-type", b"application/json")

_Answering = Callable[[Scope, Receive, Send], Awaitable[None]]


def message_routes(chat: ChatCompletions) -> list[Route]:
    """Return all endpoints of Messages.

    Args:
        chat: answers what is asked.
    """
    return [Route(PATH, Messages(chat)), Route(COUNT_PATH, MessageCounts(chat))]


class Messages:
    """`POST /v1/messages`."""

    def __init__(self, chat: ChatCompletions) -> None:
        self._answering = Translated(chat, _Dialect())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await _answer(self._answering, scope, receive, send)


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """`POST /v1/messages/count_tokens`: tells how many tokens a prompt has, and of what it knows that.

    Attributes:
        chat: reads what is asked, and knows who would answer it.
    """

    chat: ChatCompletions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing is recorded, since nothing is spent."""
        await _answer(self._count, scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            request = await self._read(scope, headers, receive)
            counted = await count(request, self.chat.pipeline)
        except ConnectionAbortedError:
            return  # nobody is there
        except GatewayError as error:
            self.chat.metrics.refuse(error.status)
            await send_error(send, _in_shape(wire_error(error)), request_id=caller_id(headers))
            return
        body = msgspec.json.encode({"input_tokens": counted.tokens})
        head = [
            _JSON,
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", (request.caller_id or request.id).encode()),
            (b"x-tandem-tier", counted.tier.encode()),
            (b"x-tandem-count", counted.by.encode()),
        ]
        await send({"type": "http.response.start", "status": _OK, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def _read(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Request:
        received = time.monotonic()
        tenant = self.chat.keys.tenant_of(scope["headers"])
        refuse_repeated(scope["headers"], headers)
        is_here = WHOLE in scope.get("extensions", ())
        body = await read_body(receive, headers, limit=self.chat.max_body, is_here=is_here)
        read_document(body)
        try:
            prompt = prompt_of(body)
        except DialectError as error:
            raise BadRequest(str(error), code=error.code, param=error.param) from error
        return self.chat.read(prompt, headers, tenant=tenant, received=received, timeout=0.0, keep_sampled=False)


class _Dialect:
    """What is different for callers who speak Messages; see `router.endpoints.translated.Dialect`."""

    def headers(self, sent: Sequence[Header]) -> Sequence[Header]:
        return sent  # `router.guards.keys` knows the key in either of its headers

    async def translate(self, body: bytes, *, tenant: str) -> Asked:  # noqa: ARG002  (nothing of a tenant's is kept)
        return Asked(translate(body))

    def error(self, error: WireError) -> WireError:
        return _in_shape(error)


def _in_shape(error: WireError) -> WireError:
    status, body = message_error(error.status, error.body)
    return WireError(status, (_JSON, *(header for header in error.headers if header[0] != _JSON[0])), body)


async def _answer(answering: _Answering, scope: Scope, receive: Receive, send: Send) -> None:
    send = _Named(send).send
    if scope["method"] == "POST":
        await answering(scope, receive, send)
        return
    refusal = plain_error(
        405,
        f"{scope['method'][:16]} is not allowed here: use POST",
        code="method_not_allowed",
        headers=((b"allow", b"POST"),),
    )
    await send_error(send, _in_shape(refusal), request_id=caller_id(dict(scope["headers"])))


class _Named:
    """Gives each answer its id where clients of Messages look for it: in a header, and in the body of an error."""

    __slots__ = ("_id", "_refusal", "_send")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._id = b""
        self._refusal: MutableMapping[str, Any] | None = None  # the head of an error, whose body will be longer

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take one ASGI message."""
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        if self._refusal is not None:
            head, self._refusal = self._refusal, None
            body = b'%b,"request_id":%b}' % (message["body"][:-1], msgspec.json.encode(self._id.decode()))
            headers = [header for header in head["headers"] if header[0] != b"content-length"]
            await self._send({**head, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
            message = {**message, "body": body}
        await self._send(message)

    async def _begin(self, head: MutableMapping[str, Any]) -> None:
        headers = list(head["headers"])
        self._id = next((value for name, value in headers if name == b"x-request-id"), b"")
        if not self._id:
            self._id = new_id().encode()
            headers.append((b"x-request-id", self._id))
        named = {**head, "headers": [*headers, (b"request-id", self._id)]}
        if head["status"] == _OK:
            await self._send(named)
        else:
            self._refusal = named
