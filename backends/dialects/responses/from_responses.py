"""A Responses request -> a chat request, and the way back of its reply.

The caller speaks Responses and whoever answers speaks chat completions. Knows nothing of stores: what came before in
a conversation is handed in, and what is to be kept of an answer can be asked for.

Source: OpenAI API reference, "Responses", "Streaming events" and "Chat completions".
"""

import os
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from backends.dialects.base import DialectError
from backends.dialects.event_reading import EventReader
from backends.dialects.reading import UNREADABLE, Fields
from backends.dialects.responses.asking import chat_of, check, conversation_of, input_items, repeated
from backends.dialects.responses.chat_replies import NOTHING, Chat, Choice, read_chat, usage_of, write
from backends.dialects.responses.writing import PREFIX, QUEUED, ResponseWriter

_DONE: Final = b"[DONE]"
_COMMENT: Final = b": ping\n\n"
SERVER_ERROR: Final = "server_error"
RATE_LIMITED: Final = "rate_limit_exceeded"
"""Codes of errors, as a Response tells them."""


class _Error(Struct):
    message: str | None = None
    code: Any = None
    type: Any = None


_read_error: Final = msgspec.json.Decoder(_Error).decode


class FromResponses:
    """One request; see `backends.dialects.base.Translation`.

    Args:
        asked: the request.
        earlier: items of the conversation before it.

    Attributes:
        id: of the Response.
        body: the chat request.
        length: messages that it has.
        items: of the request's own input.
        conversation: the id of the one that the answer is added to; "" where there is none.
        is_background: whoever asks does not wait for the answer.

    Raises:
        DialectError: it cannot be understood, or not be said in chat completions.
    """

    def __init__(self, asked: Fields, earlier: Sequence[Fields] = ()) -> None:
        check(asked)
        self.id = PREFIX + os.urandom(22).hex()
        self.items = input_items(asked)
        self.conversation, self.is_background = conversation_of(asked), asked.get("background") is True
        chat = chat_of(asked, self.items, earlier)
        self.body, self.length = msgspec.json.encode(chat), len(chat["messages"])
        self._repeated = repeated(asked)
        self._writer = ResponseWriter(self.id, self._repeated, streams=bool(asked.get("stream")))
        self._events = EventReader()
        self._is_done = self._is_over = False
        self._model, self._queued = asked.get("model") or "", 0

    @property
    def response(self) -> Fields | None:
        """Return the Response once the answer is whole; None before, and where it broke."""
        for event in self._events.finish():
            self._take(event.name, event.data)
        is_whole = self._writer.has_ended and self._is_done and not self._is_over
        return self._writer.response(self._writer.status) if is_whole else None

    @property
    def shown(self) -> Fields:
        """Return the Response as it is now, whole or not."""
        return self._writer.response(self._writer.status)

    def queue(self) -> Fields:
        """Say that the answer is asked for, and will be made later; returns the Response as it is until then."""
        self._queued = int(time.time())
        self._writer.queue(self._model, self._queued)
        return self._writer.response(QUEUED)

    def take(self) -> bytes:
        """Return the events that nobody has taken yet."""
        return self._writer.take()

    def left_out(self) -> None:
        """Say from now on that the answer is in no conversation."""
        self._repeated["conversation"] = None

    def unstored(self) -> None:
        """Say from now on that the Response is not stored."""
        self._repeated["store"] = False

    def whole(self, reply: bytes) -> bytes:
        """Return a chat completion as a Response."""
        chat = read_chat(reply)
        choice = next(iter(chat.choices or ()), None)
        if choice is None or choice.message is None:
            raise DialectError("it has no choices")
        writer = self._writer = ResponseWriter(self.id, self._repeated, streams=False)
        writer.begin(chat.model or "", self._queued or int(chat.created or 0))
        write(writer, choice.message, choice.logprobs)
        if chat.usage is not None:
            writer.use(usage_of(chat.usage))
        writer.end(choice.finish_reason or "")
        self._is_done = True
        return msgspec.json.encode(writer.response(writer.status))

    def feed(self, piece: bytes) -> bytes:
        """Return the events of a Response that a piece of a chat's stream gives."""
        comments = [_COMMENT for event in self._events.feed(piece) if not self._take(event.name, event.data)]
        return self._writer.take() + b"".join(comments)

    def finish(self) -> bytes:
        """Return the last event, where the answer is whole."""
        if self.response is None:
            return b""
        self._writer.close()
        return self._writer.take()

    def fail(self, message: str, code: str = SERVER_ERROR) -> bytes:
        """Return the event that ends a stream which broke."""
        self._fail(message, code)
        return self._writer.take()

    def cancel(self) -> bytes:
        """Return the event that ends a stream which nobody wants any more."""
        if not self._is_over:
            self._is_over = True
            self._writer.cancel()
        return self._writer.take()

    def _take(self, name: bytes, data: bytes) -> bool:
        """Take one event of a chat's stream; False for one that says nothing, as a comment."""
        if self._is_over or data == _DONE:
            self._is_done = True
            return True
        if not data:
            return bool(name)
        chat = read_chat(data)
        if chat.error != NOTHING:
            self._break(chat.error)
            return True
        writer = self._writer
        if chat.usage is not None:
            writer.use(usage_of(chat.usage))
        for choice in chat.choices or ():
            if choice.index == 0 and not writer.has_ended:
                self._take_choice(chat, choice)
        return True

    def _take_choice(self, chat: Chat, choice: Choice) -> None:
        writer = self._writer
        if not writer.has_begun:
            writer.begin(chat.model or "", int(chat.created or 0))
        if choice.delta is not None:
            write(writer, choice.delta, choice.logprobs)
        if choice.finish_reason is not None:
            writer.end(choice.finish_reason)

    def _break(self, error: Raw) -> None:
        try:
            told = _read_error(error)
        except UNREADABLE:
            told = _Error()
        is_limited = RATE_LIMITED in (told.code, told.type)
        self._fail(told.message or "the backend failed", RATE_LIMITED if is_limited else SERVER_ERROR)

    def _fail(self, message: str, code: str) -> None:
        if self._is_over:
            return
        if not self._writer.has_begun:
            self._writer.begin("", 0)
        self._writer.fail(message, code)
        self._is_over = True
