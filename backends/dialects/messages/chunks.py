"""Events of a Message -> chunks of a chat completion.

Source: Anthropic API reference, "Streaming messages"; OpenAI API reference, "Chat completion chunks".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from backends.dialects.base import DialectError
from backends.dialects.event_reading import Event, EventReader
from backends.dialects.messages.blocks import arguments_of
from backends.dialects.messages.completions import Block, Message, completion_id, ending, signed
from backends.dialects.messages.figures import MessageUsage, chat_figures
from backends.dialects.reading import UNREADABLE, Fields

_PING: Final = b": ping\n\n"
_DONE: Final = b"data: [DONE]\n\n"


class _Delta(Struct):
    """What an event adds: to a block, or to what is said of the Message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Told(Struct):
    type: str = ""
    message: Message | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: MessageUsage | None = None
    error: Any = None


_read_event: Final = msgspec.json.Decoder(_Told).decode


class ChunkWriter:
    """Writes the chunks of one completion.

    Args:
        created: seconds since 1970.
        tells_usage: the last chunk tells what it took.
    """

    __slots__ = (
        "_block",
        "_calls",
        "_created",
        "_events",
        "_has_arguments",
        "_head",
        "_is_done",
        "_message",
        "_tells_usage",
        "_thoughts",
        "_thoughts_before",
        "_usage",
        "_write",
    )

    def __init__(self, created: int, *, tells_usage: bool) -> None:
        self._created, self._tells_usage = created, tells_usage
        self._events = EventReader()
        self._message = Message()
        self._usage = MessageUsage()
        self._block = Block("")  # the one that is open
        self._thoughts: list[str] = []  # of the open block
        self._calls = self._thoughts_before = 0  # how many have begun, and how many were shown with a signature
        self._has_arguments = self._is_done = False
        self._head: Fields = {}
        self._write: Mapping[str, Callable[[_Told], bytes]] = {
            "content_block_delta": self._add,
            "content_block_start": self._open,
            "content_block_stop": self._close,
            "message_start": self._begin,
            "message_delta": self._learn,
            "message_stop": self._end,
            "ping": self._wait,
            "error": self._fail,
        }

    def feed(self, piece: bytes) -> bytes:
        """Return the chunks that a piece of the stream gives.

        Raises:
            DialectError: it is no stream of a Message.
        """
        return b"".join([self._written(event) for event in self._events.feed(piece)])

    def finish(self) -> bytes:
        """Return why it ended, what it took and that it is done; nothing where the events did not say so."""
        last = b"".join([self._written(event) for event in self._events.finish()])
        if not self._is_done or not self._head or self._message.stop_reason is None:
            return b""
        last += self._encoded([{"index": 0, "delta": {}, **ending(self._message)}])
        figures = chat_figures(self._usage)
        if self._tells_usage and figures:
            last += self._encoded([], **figures)
        return last + _DONE

    def _written(self, event: Event) -> bytes:
        if self._is_done:
            return b""
        if not event.data:
            return _PING
        try:
            told = _read_event(event.data)
        except UNREADABLE as error:
            raise DialectError(f"it is no event of a Message: {error}") from error
        write = self._write.get(told.type)
        return b"" if write is None else write(told)  # kinds that are yet to come are passed over

    def _begin(self, told: _Told) -> bytes:
        self._message = message = told.message or Message()
        self._usage = message.usage or MessageUsage()
        self._head = {
            "id": completion_id(message.id),
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": message.model,
        }
        return self._chunk({"role": "assistant", "content": ""})

    def _open(self, told: _Told) -> bytes:
        self._block = block = told.content_block or Block("")
        match block.type:
            case "text":
                return self._chunk({"content": block.text}) if block.text else b""
            case "thinking":
                self._thoughts = [block.thinking] if block.thinking else []
                return self._chunk({"reasoning_content": block.thinking}) if block.thinking else b""
            case "tool_use":
                self._calls += 1
                self._has_arguments = False
                named: Fields = {"name": block.name, "arguments": ""}
                call = {"index": self._calls - 1, "id": block.id, "type": "function", "function": named}
                return self._chunk({"tool_calls": [call]})
            case _:
                return b""

    def _add(self, told: _Told) -> bytes:
        delta = told.delta or _Delta()
        match delta.type:
            case "text_delta":
                return self._chunk({"content": delta.text})
            case "thinking_delta":
                self._thoughts.append(delta.thinking)
                return self._chunk({"reasoning_content": delta.thinking})
            case "signature_delta":
                self._block.signature += delta.signature
                return b""
            case "input_json_delta" if delta.partial_json and self._block.type == "tool_use":
                self._has_arguments = True
                return self._arguments(delta.partial_json)
            case _:
                return b""

    def _close(self, _told: _Told) -> bytes:
        block, self._block = self._block, Block("")
        match block.type:
            case "tool_use" if not self._has_arguments:
                return self._arguments(arguments_of(block.given))
            case _ if block.is_signed:
                kept = {"index": self._thoughts_before, **signed(block, "".join(self._thoughts))}
                self._thoughts_before += 1
                self._thoughts = []
                return self._chunk({"thinking_blocks": [kept]})
            case _:
                return b""

    def _learn(self, told: _Told) -> bytes:
        if told.usage is not None:
            self._usage = self._usage.updated(told.usage)
        if told.delta is not None:
            self._message.stop_reason = told.delta.stop_reason or self._message.stop_reason
            self._message.stop_sequence = told.delta.stop_sequence or self._message.stop_sequence
        return b""

    def _end(self, _told: _Told) -> bytes:
        self._is_done = True
        return b""

    def _wait(self, _told: _Told) -> bytes:
        return _PING

    def _fail(self, told: _Told) -> bytes:
        self._is_done, self._head = True, {}
        error = told.error if isinstance(told.error, dict) else {}
        kind = error.get("type") or "api_error"
        failed = {"message": error.get("message") or "the reply broke off", "type": kind, "param": None, "code": kind}
        return b"data: %b\n\n" % msgspec.json.encode({"error": failed})

    def _arguments(self, piece: str) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": piece}}]})

    def _chunk(self, delta: Fields) -> bytes:
        if not self._head:
            raise DialectError("the stream does not begin with message_start")
        return self._encoded([{"index": 0, "delta": delta, "finish_reason": None}])

    def _encoded(self, choices: list[Fields], **more: object) -> bytes:
        return b"data: %b\n\n" % msgspec.json.encode({**self._head, "choices": choices, **more})
