"""Chat completion -> Message.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from backends.dialects.base import DialectError
from backends.dialects.messages.blocks import UNSIGNED, input_of
from backends.dialects.messages.figures import ChatUsage, message_usage, stop_reason
from backends.dialects.reading import UNREADABLE, Fields


class Wanted(Struct, frozen=True):
    """What a request says about its reply.

    Attributes:
        stops: its stop sequences.
        thoughts: they are to be shown.
    """

    stops: frozenset[str] = frozenset()
    thoughts: bool = True


class Function(Struct):
    """What is called; of a stream, pieces of it."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(Struct):
    """A call of a tool; of a stream, a piece of one."""

    index: int = 0
    id: str | None = None
    function: Function | None = None


class Said(Struct):
    """What a choice says: a message, or what one chunk adds to it.

    Attributes:
        content: a text, or parts that hold some.
        reasoning_content, reasoning: the two names that servers have for thoughts.
        thinking_blocks: thoughts with their signatures, as a Messages model gave them.
    """

    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    thinking_blocks: list[Any] | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def words(self) -> str:
        """Return the text of the answer."""
        if isinstance(self.content, list):
            parts = [part for part in self.content if isinstance(part, dict)]
            return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
        return self.content or ""

    @property
    def thoughts(self) -> str:
        """Return the text of the thoughts."""
        if self.reasoning_content is not None:
            return self.reasoning_content
        return self.reasoning if isinstance(self.reasoning, str) else ""

    @property
    def blocks(self) -> list[Fields]:
        """Return the thoughts that have a signature, and those that are hidden in one."""
        found = [block for block in self.thinking_blocks or () if isinstance(block, dict)]
        return [block for each in found if (block := _thinking_block(each)) is not None]


def _thinking_block(block: Fields) -> Fields | None:
    names = ("thinking", "signature") if block.get("type") == "thinking" else ("data",)
    if block.get("type") not in ("thinking", "redacted_thinking"):
        return None
    if not all(isinstance(block.get(name), str) for name in names):
        return None
    return {"type": block["type"], **{name: block[name] for name in names}}


class Choice(Struct):
    """One choice, whole or of a chunk.

    Attributes:
        stop_reason: the stop sequence that ended it, where a server tells; some tell the number of a token.
    """

    index: int = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    stop_reason: Any = None

    def stopped_by(self, stops: frozenset[str]) -> str | None:
        """Return the caller's stop sequence that ended it; None where none did, or nobody told."""
        found = self.stop_reason
        return found if isinstance(found, str) and found in stops else None


class Completion(Struct):
    """A chat completion, or a chunk of one."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    error: Any = None


read_completion: Final = msgspec.json.Decoder(Completion).decode


def message(reply: bytes, wanted: Wanted) -> bytes:
    """Return the Message.

    Raises:
        DialectError: the reply is no chat completion with a message.
    """
    try:
        completion = read_completion(reply)
    except UNREADABLE as error:
        raise DialectError(f"it is no chat completion: {error}") from error
    choice = next((each for each in completion.choices or () if each.index == 0), None)
    if choice is None or choice.message is None:
        raise DialectError("it is a chat completion without a message")
    said = choice.message
    stop_sequence = choice.stopped_by(wanted.stops)
    reason = stop_reason(
        choice.finish_reason or "",
        calls_tools=bool(said.tool_calls),
        refuses=bool(said.refusal),
        sequence=stop_sequence,
    )
    return msgspec.json.encode(
        {
            **opening(completion),
            "content": _content(said, completion, wanted),
            "stop_reason": reason,
            "stop_sequence": stop_sequence if reason == "stop_sequence" else None,
            "usage": message_usage(completion.usage),
        }
    )


def opening(completion: Completion) -> Fields:
    """Return what a Message says of itself before it says anything."""
    return {"id": _message_id(completion), "type": "message", "role": "assistant", "model": completion.model or ""}


def tool_id(call: ToolCall, completion_id: str, at: int) -> str:
    """Return the id of a tool's call; where a server gives none, one that only this call has."""
    return call.id or f"toolu_{completion_id}_{at}"


def _message_id(completion: Completion) -> str:
    name = completion.id or ""
    return name if name.startswith("msg_") else f"msg_{name.removeprefix('chatcmpl-')}"


def _content(said: Said, completion: Completion, wanted: Wanted) -> list[Fields]:
    found: list[Fields] = []
    if wanted.thoughts:
        found += said.blocks
        if not found and said.thoughts:
            found.append({"type": "thinking", "thinking": said.thoughts, "signature": UNSIGNED})
    words = said.words + (said.refusal or "")
    if words:
        found.append({"type": "text", "text": words})
    for at, call in enumerate(said.tool_calls or ()):
        function = call.function or Function()
        found.append(
            {
                "type": "tool_use",
                "id": tool_id(call, completion.id or "", at),
                "name": function.name or "",
                "input": input_of(function.arguments or ""),
            }
        )
    return found
