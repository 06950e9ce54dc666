"""A Messages request -> a chat request, and the way back of its reply.

The caller speaks Messages and whoever answers speaks chat completions. Fields that Messages do not know stand in the
chat request as they came; those that steer one company's servers are left out, where leaving them out loses nothing.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

from typing import Final

import msgspec

from backends.dialects.base import DialectError
from backends.dialects.messages.blocks import to_chat
from backends.dialects.messages.errors import failure
from backends.dialects.messages.events import EventWriter
from backends.dialects.messages.replies import Wanted, message
from backends.dialects.messages.tools import to_functions, to_tool_choice
from backends.dialects.reading import Fields, an_object, listed, needed, read_object, text

_TAKEN: Final = frozenset(
    "messages system max_tokens stop_sequences metadata thinking tools tool_choice output_config stream stream_options "
    "service_tier n".split()
)
_FOR_OTHERS: Final = frozenset(
    "cache_control context_management diagnostics inference_geo speed user_profile_id".split()
)
"""They steer caches and places of servers that nobody here asks; the reply is right without them."""

_RUN_ELSEWHERE: Final = ("mcp_servers", "container")
_BUDGETS: Final = ((4_096, "low"), (16_384, "medium"))
_MOST: Final = "high"
_EFFORTS: Final = {"max": "xhigh"}
_SERVICE: Final = {"standard_only": "default"}


def translate(body: bytes) -> "FromMessages":
    """Return the translation of `POST /v1/messages`.

    Raises:
        DialectError: the body is none, or asks for what no chat can say.
    """
    return FromMessages(read_object(body))


def prompt_of(body: bytes) -> bytes:
    """Return a chat request with the prompt alone, as `POST /v1/messages/count_tokens` sends it.

    Raises:
        DialectError: as `translate`.
    """
    return msgspec.json.encode(_prompt(read_object(body)))


class FromMessages:
    """One request of Messages in chat completions; see `backends.dialects.base.Translation`."""

    __slots__ = ("_events", "_wanted", "body")

    def __init__(self, asked: Fields) -> None:
        self.body = msgspec.json.encode(_chat(asked))
        self._wanted = Wanted(stops=frozenset(asked.get("stop_sequences") or ()), thoughts=_shows_thoughts(asked))
        self._events = EventWriter(self._wanted)

    def whole(self, reply: bytes) -> bytes:
        """Return a chat completion as a Message."""
        return message(reply, self._wanted)

    def feed(self, piece: bytes) -> bytes:
        """Return the events of a Message that chunks of a chat completion give."""
        return self._events.feed(piece)

    def finish(self) -> bytes:
        """Return what ends the Message, where the chunks have ended whole."""
        return self._events.finish()

    def fail(self, message: str) -> bytes:
        """Return the event that tells that the stream failed."""
        return failure(message)


def _prompt(asked: Fields) -> Fields:
    """Return the fields that a prompt is made of."""
    for name in _RUN_ELSEWHERE:
        if asked.get(name):
            raise DialectError(f"{name} is run by no backend here: leave it out", code="unsupported_tool", param=name)
    messages = to_chat(asked.get("system"), needed(asked, "messages", ""))
    found: Fields = {"model": needed(asked, "model", ""), "messages": messages}
    if asked.get("tools"):
        found["tools"] = to_functions(asked["tools"])
    if asked.get("tool_choice") is not None:
        found |= to_tool_choice(asked["tool_choice"])
    return found


def _chat(asked: Fields) -> Fields:
    longest = needed(asked, "max_tokens", "")
    if isinstance(longest, int) and longest < 1:
        raise DialectError("max_tokens must be 1 or more", param="max_tokens")
    found = {
        **_prompt(asked),
        "max_tokens": longest,
        **_thinking(asked),
        **_format(asked),
    }
    if asked.get("stop_sequences"):
        stops = listed(asked["stop_sequences"], "stop_sequences")
        found["stop"] = [text(stop, f"stop_sequences[{at}]") for at, stop in enumerate(stops)]
    if asked.get("metadata") is not None:
        found |= _metadata(an_object(asked["metadata"], "metadata"))
    if isinstance(asked.get("service_tier"), str):
        found["service_tier"] = _SERVICE.get(asked["service_tier"], asked["service_tier"])
    if asked.get("stream") is not None:
        found["stream"] = asked["stream"]
        if asked["stream"] is True:  # a Message tells its usage always
            found["stream_options"] = {"include_usage": True}
    if asked.get("n") not in (None, 1):
        raise DialectError("a Message is one answer: leave n out", param="n")
    others = {name: value for name, value in asked.items() if name not in _TAKEN and name not in _FOR_OTHERS}
    return {**others, **found}


def _thinking(asked: Fields) -> Fields:
    """Return how hard to think: by the word that was said, or else by the budget."""
    if asked.get("thinking") is None and asked.get("output_config") is None:
        return {}
    thinking = an_object(asked.get("thinking") or {}, "thinking")
    config = an_object(asked.get("output_config") or {}, "output_config")
    if thinking.get("type") == "disabled":
        return {"reasoning_effort": "none"}
    if config.get("effort") is not None:
        effort = text(config["effort"], "output_config.effort")
        return {"reasoning_effort": _EFFORTS.get(effort, effort)}
    if thinking.get("type") != "enabled":
        return {}
    budget = needed(thinking, "budget_tokens", "thinking")
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
        raise DialectError("thinking.budget_tokens must be a whole number above 0", param="thinking.budget_tokens")
    return {"reasoning_effort": next((effort for least, effort in _BUDGETS if budget < least), _MOST)}


def _format(asked: Fields) -> Fields:
    config = asked.get("output_config") or {}
    if config.get("format") is None:
        return {}
    wanted = an_object(config["format"], "output_config.format")
    if wanted.get("type") != "json_schema":
        raise DialectError("output_config.format.type must be json_schema", param="output_config.format.type")
    schema = an_object(needed(wanted, "schema", "output_config.format"), "output_config.format.schema")
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": schema, "strict": True},
        }
    }


def _metadata(given: Fields) -> Fields:
    user = given.get("user_id")
    found: Fields = {} if user is None else {"user": text(user, "metadata.user_id")}
    others = {name: value for name, value in given.items() if name != "user_id"}
    return {**found, "metadata": others} if others else found


def _shows_thoughts(asked: Fields) -> bool:
    thinking = asked.get("thinking") or {}
    return thinking.get("type") != "disabled" and thinking.get("display") != "omitted"
