"""Requests to the llama.cpp server within this process -> its answers, or why there is none.

It listens on the loopback, in threads of its own, and hears only who bears its key.
"""

from contextlib import aclosing
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

import msgspec

from backends.base import Chunks, Reply
from backends.engines.base import ContextExceeded, EngineError, NotReady, Refused
from backends.engines.llama_server.settings import LOOPBACK
from backends.pool import Answer, Exchange, Pool, Spans

ANSWER_WITHIN: Final = 3600.0
"""Seconds for one answer; whoever asked has a span of his own and leaves when it is over."""

TOLD_WITHIN: Final = 10.0
"""Seconds for everything else, be the server busy with a long prompt."""

_CONNECT_WITHIN: Final = 1.0
_JSON: Final = "application/json"
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)


class Client:
    """The way to one server.

    Attributes:
        is_clear: every question was waited for until its answer; one that was left may still be worked on.
    """

    def __init__(self, port: int, *, key: str) -> None:
        self.is_clear = True
        spans = Spans(connect=_CONNECT_WITHIN, first_byte=ANSWER_WITHIN, idle=ANSWER_WITHIN)
        self.pool = Pool(LOOPBACK, port, spans=spans)
        self.replica = f"{LOOPBACK}:{port}"
        self._head = f"content-type: {_JSON}\r\nauthorization: Bearer {key}\r\n".encode()

    async def answer(self, path: str, body: dict[str, Any]) -> Exchange:
        """Return an answer's stream as soon as it begins.

        Raises:
            EngineError: it was refused.
            BackendError: nothing came.
        """
        deadline = monotonic() + ANSWER_WITHIN
        sent = msgspec.json.encode(body)
        answer = await self.pool.send("POST", f"/v1{path}", self._head, sent, deadline=deadline)
        if not answer.is_success:
            raise await _refusal(answer)
        return answer.chunks

    def reply(self, chunks: Chunks, *, stream: bool) -> Reply:
        """Return a reply with this body."""
        return Reply(chunks=chunks, media_type="text/event-stream" if stream else _JSON, replica=self.replica)

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return what the server tells: JSON read, other text as it is.

        Raises:
            EngineError: it was refused.
            BackendError: nothing came.
        """
        method, sent = ("GET", b"") if body is None else ("POST", msgspec.json.encode(body))
        deadline = monotonic() + TOLD_WITHIN
        try:
            answer = await self.pool.send(method, path, self._head, sent, deadline=deadline, whole=True)
        except BaseException:
            self.is_clear = self.is_clear and not sent
            raise
        if not answer.is_success:
            raise await _refusal(answer)
        told = await _body_of(answer)
        return msgspec.json.decode(told) if answer.media_type.startswith(_JSON) else told.decode(errors="replace")

    async def aclose(self) -> None:
        """Close all connections; the server leaves what it computes for them."""
        await self.pool.aclose()


async def _body_of(answer: Answer) -> bytes:
    async with aclosing(answer.chunks) as chunks:
        return b"".join([piece async for piece in chunks])


async def _refusal(answer: Answer) -> EngineError:
    body = await _body_of(answer)
    try:
        told = msgspec.json.decode(body)["error"]
        message, kind = str(told["message"]), str(told["type"])
    except (*_UNREADABLE, KeyError, TypeError):
        message, kind = body.decode(errors="replace") or "no reason was given", ""
    message = f"llama.cpp refuses: {message}"
    if kind == "exceed_context_size_error":
        return ContextExceeded(message, param=None)
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return NotReady(message)
    if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR or "not supported" in message:
        return Refused(message, param=None)
    return EngineError(message)
