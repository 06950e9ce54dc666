"""A chat request -> a Messages request, and the way back of its reply.

For a backend that speaks nothing but Messages. It refuses fields that it does not know: those of a chat that have no
equal there are left out where the answer is the same without them, and refused where it would not be. Fields that a
chat does not know either stand as they came.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from backends.dialects.base import DialectError
from backends.dialects.messages.chunks import ChunkWriter
from backends.dialects.messages.completions import completion
from backends.dialects.messages.tools import from_tool_choice, to_tools
from backends.dialects.messages.turns import from_chat
from backends.dialects.reading import Fields, an_object, needed, read_object, text

PATH: Final = "/messages"
MOST_TOKENS: Final = 4_096
"""Of an answer, where the chat sets no bound: a Messages request must have one."""

_TAKEN: Final = frozenset(
    "messages max_tokens max_completion_tokens tools tool_choice parallel_tool_calls stop temperature user "
    "response_format reasoning_effort stream_options".split()
)
_WITHOUT_EQUAL: Final = frozenset(
    "audio cache_salt frequency_penalty logit_bias metadata modalities n logprobs top_logprobs prediction "
    "presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention priority safety_identifier seed "
    "service_tier store verbosity chat_template_kwargs functions function_call web_search_options".split()
)
_REFUSED: Final = {
    "functions": "use tools",
    "function_call": "use tool_choice",
    "logprobs": "it tells none",
    "audio": "it gives none",
    "web_search_options": "it has no search",
}
_EFFORTS: Final = {"minimal": "low"}
_NO_EFFORT: Final = "none"


def translate(body: bytes, *, clock: Callable[[], float] = time.time) -> "ToMessages":
    """Return the translation of a chat request.

    Args:
        clock: seconds since 1970, for when a completion was created.

    Raises:
        DialectError: the body is none, or asks for what Messages cannot say.
    """
    return ToMessages(read_object(body), created=int(clock()))


class ToMessages:
    """One chat request in Messages; see `backends.dialects.base.Translation`."""

    __slots__ = ("_chunks", "_created", "body")

    def __init__(self, asked: Fields, *, created: int) -> None:
        self.body = msgspec.json.encode(_request(asked))
        options = asked.get("stream_options")
        tells_usage = isinstance(options, dict) and options.get("include_usage") is True
        self._created = created
        self._chunks = ChunkWriter(created, tells_usage=tells_usage)

    def whole(self, reply: bytes) -> bytes:
        """Return a Message as a chat completion."""
        return completion(reply, self._created)

    def feed(self, piece: bytes) -> bytes:
        """Return the chunks of a chat completion that events of a Message give."""
        return self._chunks.feed(piece)

    def finish(self) -> bytes:
        """Return what ends the chunks, where the Message has ended whole."""
        return self._chunks.finish()


def _request(asked: Fields) -> Fields:
    _refuse_what_would_be_missing(asked)
    system, turns = from_chat(needed(asked, "messages", ""))
    most = asked.get("max_completion_tokens") or asked.get("max_tokens") or MOST_TOKENS
    found: Fields = {"model": needed(asked, "model", ""), "max_tokens": most, "messages": turns}
    if system:
        found["system"] = system
    if asked.get("tools"):
        found["tools"] = to_tools(asked["tools"])
    choice = from_tool_choice(
        asked.get("tool_choice"),
        in_parallel=asked.get("parallel_tool_calls") is not False,
        has_tools=bool(asked.get("tools")),
    )
    if choice is not None:
        found["tool_choice"] = choice
    if asked.get("stop"):
        found["stop_sequences"] = [asked["stop"]] if isinstance(asked["stop"], str) else asked["stop"]
    if isinstance(asked.get("temperature"), int | float):
        found["temperature"] = min(asked["temperature"], 1)  # where a chat goes up to 2
    if isinstance(asked.get("user"), str):
        found["metadata"] = {"user_id": asked["user"]}
    if asked.get("reasoning_effort") == _NO_EFFORT and asked.get("thinking") is None:
        found["thinking"] = {"type": "disabled"}
    config = {**_effort(asked), **_format(asked)}
    if config:
        found["output_config"] = config
    left_out = _TAKEN | _WITHOUT_EQUAL
    others = {name: value for name, value in asked.items() if value is not None and name not in left_out}
    return {**others, **found}


def _refuse_what_would_be_missing(asked: Fields) -> None:
    for name, advice in _REFUSED.items():
        if asked.get(name):
            raise DialectError(f"{name} is not known to this backend: {advice}", param=name)
    if asked.get("n") not in (None, 1):
        raise DialectError("n is more than this backend gives, which is one answer", param="n")


def _effort(asked: Fields) -> Fields:
    if asked.get("reasoning_effort") in (None, _NO_EFFORT):
        return {}
    said = text(asked["reasoning_effort"], "reasoning_effort")
    return {"effort": _EFFORTS.get(said, said)}


def _format(asked: Fields) -> Fields:
    if asked.get("response_format") is None:
        return {}
    wanted = an_object(asked["response_format"], "response_format")
    match wanted.get("type"):
        case "text":
            return {}
        case "json_schema":
            described = an_object(needed(wanted, "json_schema", "response_format"), "response_format.json_schema")
            schema = needed(described, "schema", "response_format.json_schema")
            return {"format": {"type": "json_schema", "schema": schema}}
        case _:
            raise DialectError(
                "response_format is not known to this backend: use json_schema", param="response_format.type"
            )
