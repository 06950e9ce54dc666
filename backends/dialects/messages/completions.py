"""Message -> chat completion.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from backends.dialects.base import DialectError
from backends.dialects.messages.blocks import arguments_of
from backends.dialects.messages.figures import MessageUsage, chat_figures, finish_reason
from backends.dialects.reading import UNREADABLE, Fields


class Block(Struct):
    """A content block; of a stream, as it begins."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Any = None

    @property
    def is_signed(self) -> bool:
        """Tell thoughts that their model knows again."""
        return self.type == "redacted_thinking" or (self.type == "thinking" and bool(self.signature))

    @property
    def given(self) -> Fields:
        """Return the input of a tool."""
        return self.input if isinstance(self.input, dict) else {}


class Message(Struct):
    """A Message, or the beginning of one."""

    id: str = ""
    model: str = ""
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: MessageUsage | None = None


class _Whole(Message):
    type: str = "message"


_read_message: Final = msgspec.json.Decoder(_Whole).decode


def completion(reply: bytes, created: int) -> bytes:
    """Return the chat completion.

    Args:
        created: seconds since 1970.

    Raises:
        DialectError: the reply is no Message.
    """
    try:
        message = _read_message(reply)
    except UNREADABLE as error:
        raise DialectError(f"it is no Message: {error}") from error
    if message.type != "message" or message.content is None:
        raise DialectError(f"it is no Message, but {message.type[:80]!a}")
    return msgspec.json.encode(
        {
            "id": completion_id(message.id),
            "object": "chat.completion",
            "created": created,
            "model": message.model,
            "choices": [{"index": 0, "message": _said(message.content), **ending(message)}],
            **chat_figures(message.usage),
        }
    )


def completion_id(message_id: str) -> str:
    """Return a completion's id."""
    return f"chatcmpl-{message_id.removeprefix('msg_')}"


def ending(message: Message) -> Fields:
    """Return why it ended, and by which stop sequence if by one."""
    found: Fields = {"logprobs": None, "finish_reason": finish_reason(message.stop_reason or "")}
    return found if message.stop_sequence is None else {**found, "stop_reason": message.stop_sequence}


def signed(block: Block, thoughts: str) -> Fields:
    """Return thoughts as they must be shown again to the model that had them."""
    if block.type == "redacted_thinking":
        return {"type": block.type, "data": block.data}
    return {"type": "thinking", "thinking": thoughts, "signature": block.signature}


def _said(content: list[Block]) -> Fields:
    words = [block.text for block in content if block.type == "text"]
    thoughts = [block.thinking for block in content if block.type == "thinking"]
    kept = [signed(block, block.thinking) for block in content if block.is_signed]
    calls = [
        {
            "id": block.id,
            "type": "function",
            "function": {"name": block.name, "arguments": arguments_of(block.given)},
        }
        for block in content
        if block.type == "tool_use"
    ]
    said: Fields = {"role": "assistant", "content": "".join(words) if words or not calls else None, "refusal": None}
    if thoughts:
        said["reasoning_content"] = "".join(thoughts)
    if kept:
        said["thinking_blocks"] = kept
    return {**said, "tool_calls": calls} if calls else said
