"""The events of one stream -> the same answer in one piece.

llama.cpp looks after a caller who waits for a whole answer only now and then, and on a busy server not at all: such an
answer is computed to its end for nobody. Whoever reads a stream and leaves is noticed with the next token. So every
answer is asked for as a stream, and what was wanted whole is put together here.
"""

from typing import Any, Final

import msgspec

from backends.base import Chunks, StreamBroken
from backends.engines.base import CHAT

_DONE: Final = b"[DONE]"
_decode: Final = msgspec.json.decode


class Whole(Chunks):
    """A body in one piece."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        if body is None:
            raise StopAsyncIteration
        return body

    async def aclose(self) -> None:
        """Let go of the body."""
        self._body = None


def whole_of(stream: bytes, path: str) -> bytes:
    """Return the answer that a stream's events tell piece by piece.

    Args:
        stream: all of it, with its usage.
        path: of the endpoint, which says what an answer looks like.

    Raises:
        StreamBroken: the stream tells of an error, or ends before the answer does.
    """
    frame: dict[str, Any] = {}
    choice: dict[str, Any] = {"finish_reason": None, "index": 0}
    message: dict[str, Any] = (
        {"role": "assistant", "content": None} if path == CHAT else {"text": None, "logprobs": None}
    )
    is_done = False
    for event in stream.split(b"\n\n"):
        payload = event.strip().removeprefix(b"data:").strip()
        if not payload or payload.startswith(b":"):
            continue
        if payload == _DONE:
            is_done = True
            continue
        told: dict[str, Any] = _decode(payload)
        if "error" in told:
            raise StreamBroken(f"llama.cpp broke off: {str(told['error'])[:500]}")
        frame.update(told)
        for part in told["choices"]:
            _add(message, part, choice, path)
    if not is_done or choice["finish_reason"] is None:
        raise StreamBroken("llama.cpp's stream ended before the answer was complete")
    _join(message)
    if path == CHAT:
        if message["content"] is None and "tool_calls" not in message:
            message["content"] = ""
        choice["message"] = message
    else:
        choice = {**message, **choice, "text": message["text"] or ""}
    frame.update(choices=[choice], object="chat.completion" if path == CHAT else "text_completion")
    return msgspec.json.encode(frame)


def _add(message: dict[str, Any], part: dict[str, Any], choice: dict[str, Any], path: str) -> None:
    """Take what one event tells of the choice; texts are kept in pieces, since there are many."""
    if part["finish_reason"] is not None:
        choice["finish_reason"] = part["finish_reason"]
    probabilities = part.get("logprobs")
    if probabilities is not None:
        kept = choice if path == CHAT else message
        kept["logprobs"] = kept.get("logprobs") or {}
        for name, values in probabilities.items():
            kept["logprobs"].setdefault(name, []).extend(values)
    if path != CHAT:
        _grow(message, "text", part["text"])
        return
    for name, value in part["delta"].items():
        if name == "tool_calls":
            _add_calls(message.setdefault("tool_calls", []), value)
        elif name == "role":
            message["role"] = value
        else:
            _grow(message, name, value)


def _add_calls(calls: list[dict[str, Any]], parts: list[dict[str, Any]]) -> None:
    for part in parts:
        place = part.get("index", 0)
        while len(calls) <= place:
            calls.append({"type": "function", "function": {"name": "", "arguments": ""}, "id": ""})
        call, function = calls[place], part.get("function", {})
        call.update({name: value for name, value in part.items() if name in ("id", "type")})
        if function.get("name"):
            call["function"]["name"] = function["name"]
        call["function"]["arguments"] += function.get("arguments") or ""


def _grow(message: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401 - JSON
    if not isinstance(value, str):
        message.setdefault(name, value)
    elif isinstance(message.get(name), list):
        message[name].append(value)
    else:
        message[name] = [value]


def _join(message: dict[str, Any]) -> None:
    for name, value in message.items():
        if isinstance(value, list) and name != "tool_calls":
            message[name] = "".join(value)
