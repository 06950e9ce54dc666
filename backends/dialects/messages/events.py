"""Chunks of a chat completion -> events of a Message.

A Message's stream shows one block at a time, and each block ends before the next begins. Chunks may jump between
calls of tools; what would jump is held back until its turn.

Source: Anthropic API reference, "Streaming messages".
"""

from typing import Any, Final

import msgspec

from backends.dialects.base import DialectError
from backends.dialects.event_reading import Event, EventReader
from backends.dialects.messages.blocks import UNSIGNED
from backends.dialects.messages.errors import error_event
from backends.dialects.messages.figures import ChatUsage, message_usage, stop_reason
from backends.dialects.messages.replies import (
    Choice,
    Completion,
    Said,
    ToolCall,
    Wanted,
    opening,
    read_completion,
    tool_id,
)
from backends.dialects.reading import UNREADABLE, Fields

_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_DONE: Final = b"[DONE]"
_TEXT: Final[Fields] = {"type": "text", "text": ""}
_THINKING: Final[Fields] = {"type": "thinking", "thinking": "", "signature": ""}


class _Call:
    """A call of a tool as far as it has been told."""

    __slots__ = ("arguments", "given", "id", "is_over", "name")

    def __init__(self, identifier: str) -> None:
        self.id = identifier
        self.name = self.arguments = ""
        self.given = 0  # characters of them that have gone out
        self.is_over = False

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing can follow: the arguments are a whole object."""
        if not self.arguments.rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode(self.arguments)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class EventWriter:
    """Writes the events of one Message."""

    __slots__ = (
        "_block",
        "_calls",
        "_completion_id",
        "_events",
        "_finish",
        "_has_begun",
        "_has_failed",
        "_has_refused",
        "_index",
        "_is_done",
        "_open_call",
        "_stop_sequence",
        "_usage",
        "_wanted",
    )

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._events = EventReader()
        self._has_begun = self._has_refused = self._has_failed = self._is_done = False
        self._block = ""  # the type of the one that is open
        self._index = -1
        self._calls: dict[int, _Call] = {}  # in the order in which they were first told of
        self._open_call = 0  # how many of them have ended
        self._finish = self._completion_id = ""
        self._stop_sequence: str | None = None
        self._usage: ChatUsage | None = None

    def feed(self, piece: bytes) -> bytes:
        """Return the events that a piece of the stream gives.

        Raises:
            DialectError: it is no stream of chunks.
        """
        return b"".join([self._written(event) for event in self._events.feed(piece)])

    def finish(self) -> bytes:
        """Return what ends the Message; nothing where the chunks did not say why they ended, or that they are done."""
        last = b"".join([self._written(event) for event in self._events.finish()])
        if not self._is_done or not self._finish:
            return b""
        out = [last]
        self._give_calls(out, are_over=True)
        self._close(out)
        reason = stop_reason(
            self._finish, calls_tools=bool(self._calls), refuses=self._has_refused, sequence=self._stop_sequence
        )
        sequence = self._stop_sequence if reason == "stop_sequence" else None
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        out.append(_event("message_delta", delta=delta, usage=message_usage(self._usage)))
        out.append(_event("message_stop"))
        return b"".join(out)

    def _written(self, event: Event) -> bytes:
        if self._has_failed:
            return b""
        if event.data == _DONE:
            self._is_done = True
            return b""
        if event.name == b"error":
            return self._fail(event.data)
        if not event.data:
            return _PING if self._has_begun else b""
        try:
            chunk = read_completion(event.data)
        except UNREADABLE as error:
            raise DialectError(f"it is no chunk of a chat completion: {error}") from error
        if chunk.error is not None:
            return self._fail(event.data)
        return b"" if self._is_done else self._said(chunk)

    def _said(self, chunk: Completion) -> bytes:
        out: list[bytes] = []
        if not self._has_begun:
            self._has_begun = True
            self._completion_id = chunk.id or ""
            start = {**opening(chunk), "content": [], "stop_reason": None, "stop_sequence": None}
            out.append(_event("message_start", message={**start, "usage": message_usage(chunk.usage)}))
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._choose(choice, out)
        return b"".join(out)

    def _choose(self, choice: Choice, out: list[bytes]) -> None:
        said = choice.delta
        if said is not None:
            self._think(said, out)
            self._speak(said, out)
            for call in said.tool_calls or ():
                self._call(call, out)
        if choice.finish_reason is not None:
            self._finish = choice.finish_reason
            self._stop_sequence = choice.stopped_by(self._wanted.stops)

    def _think(self, said: Said, out: list[bytes]) -> None:
        if not self._wanted.thoughts:
            return
        if said.thoughts:
            self._open("thinking", _THINKING, out)
            self._add("thinking_delta", "thinking", said.thoughts, out)
        for block in said.blocks if said.thinking_blocks else ():
            if block["type"] == "thinking":
                if self._block != "thinking":  # else its text has come already
                    self._open("thinking", _THINKING, out)
                    self._add("thinking_delta", "thinking", block["thinking"], out)
                self._close(out, signature=block["signature"])
            else:
                self._open("redacted_thinking", block, out)
                self._close(out)

    def _speak(self, said: Said, out: list[bytes]) -> None:
        words = said.words + (said.refusal or "")
        self._has_refused = self._has_refused or bool(said.refusal)
        if words:
            self._open("text", _TEXT, out)
            self._add("text_delta", "text", words, out)

    def _call(self, told: ToolCall, out: list[bytes]) -> None:
        call = self._calls.get(told.index)
        if call is None:
            call = self._calls[told.index] = _Call(tool_id(told, self._completion_id, len(self._calls)))
        if told.function is not None:
            call.name = call.name or told.function.name or ""
            more = told.function.arguments or ""
            if call.is_over and more.strip():
                raise DialectError(f"the call {told.index} of a tool went on after it had ended")
            call.arguments += more
        self._give_calls(out, are_over=False)

    def _give_calls(self, out: list[bytes], *, are_over: bool) -> None:
        """Say what may be said of calls now: the open one goes on until it is whole and another one waits.

        Args:
            are_over: nothing more will be told of any.
        """
        calls = list(self._calls.values())
        while self._open_call < len(calls):
            call = calls[self._open_call]
            if not call.name and not are_over:
                return
            if self._block != "tool_use":
                self._open("tool_use", {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, out)
            if call.given < len(call.arguments):
                self._add("input_json_delta", "partial_json", call.arguments[call.given :], out)
                call.given = len(call.arguments)
            waits = self._open_call + 1 < len(calls)
            if not are_over and not (waits and call.is_whole):
                return
            self._close(out)
            call.is_over = True
            self._open_call += 1

    def _open(self, kind: str, block: Fields, out: list[bytes]) -> None:
        if self._block == kind:
            return
        if self._block == "tool_use":
            self._give_calls(out, are_over=True)
        self._close(out)
        self._block = kind
        self._index += 1
        out.append(_event("content_block_start", index=self._index, content_block=block))

    def _add(self, delta: str, name: str, said: str, out: list[bytes]) -> None:
        out.append(_event("content_block_delta", index=self._index, delta={"type": delta, name: said}))

    def _close(self, out: list[bytes], *, signature: str = UNSIGNED) -> None:
        if not self._block:
            return
        if self._block == "thinking":
            self._add("signature_delta", "signature", signature, out)
        self._block = ""
        out.append(_event("content_block_stop", index=self._index))

    def _fail(self, data: bytes) -> bytes:
        self._has_failed = True
        return error_event(data)


def _event(kind: str, **fields: Any) -> bytes:  # noqa: ANN401  (any JSON)
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))
