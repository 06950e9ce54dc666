"""A chat request -> a Responses request, and the way back of its reply.

Whoever asks speaks chat completions and the backend speaks Responses. A field that has no equal there goes as it came,
since the backend knows best what it takes; one that says nothing is left out.

Source: OpenAI API reference, "Responses" and "Chat completions".
"""

from typing import Any, Final

import msgspec

from backends.dialects.base import DialectError
from backends.dialects.event_reading import EventReader
from backends.dialects.reading import Fields, an_object, needed, read_object
from backends.dialects.responses.chunks import ChunkWriter
from backends.dialects.responses.completions import completion_of
from backends.dialects.responses.history import to_items
from backends.dialects.responses.tools import from_chat_choice, from_chat_tools

PATH: Final = "/responses"

_TAKEN: Final = frozenset(
    "messages tools functions tool_choice function_call response_format verbosity reasoning_effort max_tokens "
    "max_completion_tokens logprobs stream_options n".split()
)
_NEUTRAL: Final[dict[str, tuple[object, ...]]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "stop": ([],),
    "modalities": (["text"],),
    "top_logprobs": (0,),
}
"""Values that say what is done anyway; a server that does not know the field would refuse them."""


class ToResponses:
    """One request; see `backends.dialects.base.Translation`.

    Raises:
        DialectError: it is no chat request, or one that wants several answers.
    """

    __slots__ = ("_events", "_writer", "body")

    def __init__(self, body: bytes) -> None:
        self.body = msgspec.json.encode(_asked(read_object(body)))
        self._events = EventReader()
        self._writer = ChunkWriter()

    def whole(self, reply: bytes) -> bytes:
        """Return a Response as a chat completion."""
        return msgspec.json.encode(completion_of(reply))

    def feed(self, piece: bytes) -> bytes:
        """Return the chunks of a chat completion that a piece of a Response's stream gives."""
        return b"".join([self._writer.take(event.data) for event in self._events.feed(piece) if event.data])

    def finish(self) -> bytes:
        """Return what was held back; the end is told by the Response's last event."""
        return b"".join([self._writer.take(event.data) for event in self._events.finish() if event.data])


def _asked(chat: Fields) -> Fields:
    if chat.get("n") not in (None, 1):
        raise DialectError("the backend gives one answer: leave n out", code="unsupported", param="n")
    others = {
        name: value
        for name, value in chat.items()
        if name not in _TAKEN and value is not None and value not in _NEUTRAL.get(name, ())
    }
    found: Fields = {"store": False, **others, "input": to_items(needed(chat, "messages", ""))}
    tools = from_chat_tools(chat.get("tools"), chat.get("functions"))
    if tools:
        found["tools"] = tools
    choice = from_chat_choice(chat.get("tool_choice")) or _old_choice(chat.get("function_call"))
    if choice is not None:
        found["tool_choice"] = choice
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens")
    if limit is not None:
        found["max_output_tokens"] = limit
    if chat.get("reasoning_effort") is not None:
        found["reasoning"] = {"effort": chat["reasoning_effort"]}
    if chat.get("logprobs"):
        found["include"] = ["message.output_text.logprobs"]
    text = _text(chat)
    if text:
        found["text"] = text
    return found


def _old_choice(choice: object) -> object:
    if isinstance(choice, dict):
        return {"type": "function", "name": choice.get("name")}
    return choice


def _text(chat: Fields) -> Fields:
    found: dict[str, Any] = {}
    if chat.get("verbosity") is not None:
        found["verbosity"] = chat["verbosity"]
    form = chat.get("response_format")
    if form is None:
        return found
    wanted = an_object(form, "response_format")
    if wanted.get("type") == "json_schema":
        schema = an_object(needed(wanted, "json_schema", "response_format"), "response_format.json_schema")
        wanted = {**schema, "type": "json_schema"}
    return {**found, "format": wanted}
