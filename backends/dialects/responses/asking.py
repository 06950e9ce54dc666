"""A Responses request -> the chat request that asks the same, and what its Response repeats of it.

Fields that Responses do not know stand in the chat request as they came.

Source: OpenAI API reference, "Responses" and "Chat completions".
"""

from collections.abc import Sequence
from typing import Any, Final

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, an_object, listed, needed, objects, refuse_kind, text
from backends.dialects.responses.items import to_chat_messages
from backends.dialects.responses.tools import to_chat_choice, to_chat_tools, told_tools

_TAKEN: Final = frozenset(
    "model input instructions tools tool_choice text reasoning max_output_tokens include stream stream_options "
    "parallel_tool_calls top_logprobs store metadata previous_response_id truncation".split()
)
_FOR_OTHERS: Final = frozenset(
    "access_programs background background_options context_management conversation image max_tool_calls moderation "
    "prompt prompt_cache_options".split()
)
"""They steer servers that nobody here asks; where an answer without them would be wrong, they are refused below."""

_REFUSED: Final = {
    "prompt": "names a template, and none is kept here: send its text as instructions",
    "messages": "belongs to /v1/chat/completions: write input",
}
_LOGPROBS: Final = "message.output_text.logprobs"
_REPEATED: Final[Fields] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "user": None,
}
"""Fields of a request that its Response tells, as they are where nothing was said."""

_KINDS: Final[dict[str, type]] = {
    "background": bool,
    "include": list,
    "instructions": str,
    "max_output_tokens": int,
    "max_tool_calls": int,
    "metadata": dict,
    "model": str,
    "parallel_tool_calls": bool,
    "previous_response_id": str,
    "prompt_cache_key": str,
    "reasoning": dict,
    "safety_identifier": str,
    "service_tier": str,
    "store": bool,
    "stream": bool,
    "stream_options": dict,
    "text": dict,
    "tools": list,
    "top_logprobs": int,
    "truncation": str,
    "user": str,
}
_MOST_LABELS: Final = 16
_LONGEST_LABEL: Final = 64
_LONGEST_VALUE: Final = 512


def check(asked: Fields) -> None:
    """Refuse a field of a wrong kind, and what cannot be done here.

    Raises:
        DialectError: with the name of the field.
    """
    for name, kind in _KINDS.items():
        value = asked.get(name)
        if value is not None and type(value) is not kind:
            refuse_kind(value, kind, name)
    for name, why in _REFUSED.items():
        if asked.get(name):
            raise DialectError(f"{name} {why}", code="unsupported", param=name)
    if asked.get("background") and asked.get("store") is False:
        raise DialectError("background needs a stored response: leave store out, or wait", param="background")
    if conversation_of(asked) and asked.get("previous_response_id"):
        raise DialectError(
            "conversation and previous_response_id exclude each other: send one of them",
            code="mutually_exclusive_parameters",
            param="conversation",
        )
    if asked.get("truncation") not in (None, "auto", "disabled"):
        raise DialectError("truncation must be auto or disabled", param="truncation")
    _check_labels(asked.get("metadata") or {})


def _check_labels(metadata: Fields) -> None:
    fits = len(metadata) <= _MOST_LABELS and all(
        isinstance(value, str) and len(name) <= _LONGEST_LABEL and len(value) <= _LONGEST_VALUE
        for name, value in metadata.items()
    )
    if not fits:
        limits = f"{_MOST_LABELS} texts of {_LONGEST_VALUE} characters, by names of {_LONGEST_LABEL}"
        raise DialectError(f"metadata is more than {limits}", param="metadata")


def conversation_of(asked: Fields) -> str:
    """Return the id of the conversation that the request belongs to, "" where it names none.

    Raises:
        DialectError: it is neither a text nor an object with one.
    """
    named = asked.get("conversation")
    if named is None or isinstance(named, str):
        return named or ""
    return text(needed(an_object(named, "conversation"), "id", "conversation"), "conversation.id")


def input_items(asked: Fields) -> list[Fields]:
    """Return the items of a request's input; a mere text is a message of the user.

    Raises:
        DialectError: it is neither a text nor a list of objects.
    """
    given = asked.get("input")
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return [item for item, _ in objects(listed(given, "input"), "input")]


def chat_of(asked: Fields, items: Sequence[Fields], earlier: Sequence[Fields]) -> Fields:
    """Return the chat request.

    Args:
        asked: that `check` has let pass.
        items: of its input.
        earlier: of the conversation before it.

    Raises:
        DialectError: something in it cannot be said in chat completions.
    """
    before = "conversation" if asked.get("conversation") else "previous_response_id"
    params = [f"{before}[{at}]" for at in range(len(earlier))]
    params += [f"input[{at}]" for at in range(len(items))]
    messages = to_chat_messages([*earlier, *items], params)
    if asked.get("instructions") is not None:
        messages.insert(0, {"role": "system", "content": asked["instructions"]})
    others = {name: value for name, value in asked.items() if name not in _TAKEN and name not in _FOR_OTHERS}
    return {
        "model": asked.get("model"),
        # Nothing at all may be asked: the API's own description requires no input.
        "messages": messages or [{"role": "user", "content": ""}],
        **others,
        **_tools(asked),
        **_text(asked.get("text") or {}),
        **_limits(asked),
        **_stream(asked),
    }


def _tools(asked: Fields) -> Fields:
    """Return tools and what is said of them; without tools a chat may say nothing of them."""
    choice = None if asked.get("tool_choice") is None else to_chat_choice(asked["tool_choice"])
    if not asked.get("tools"):
        return {} if choice in (None, "auto", "none") else {"tool_choice": choice}
    found: Fields = {"tools": to_chat_tools(asked["tools"])}
    if choice is not None:
        found["tool_choice"] = choice
    if asked.get("parallel_tool_calls") is not None:
        found["parallel_tool_calls"] = asked["parallel_tool_calls"]
    return found


def _text(wanted: Fields) -> Fields:
    found: Fields = {}
    if wanted.get("verbosity") is not None:
        found["verbosity"] = wanted["verbosity"]
    form = an_object(wanted.get("format") or {"type": "text"}, "text.format")
    match needed(form, "type", "text.format"):
        case "text":
            pass
        case "json_object":
            found["response_format"] = {"type": "json_object"}
        case "json_schema":
            text(needed(form, "name", "text.format"), "text.format.name")
            an_object(needed(form, "schema", "text.format"), "text.format.schema")
            schema = {name: value for name, value in form.items() if name != "type" and value is not None}
            found["response_format"] = {"type": "json_schema", "json_schema": schema}
        case _:
            raise DialectError(
                "text.format.type must be text, json_object or json_schema",
                code="unsupported",
                param="text.format.type",
            )
    return found


def _limits(asked: Fields) -> Fields:
    found: Fields = {}
    longest = asked.get("max_output_tokens")
    if longest is not None:
        if longest < 1:
            raise DialectError("max_output_tokens must be 1 or more", param="max_output_tokens")
        found["max_completion_tokens"] = longest
    effort = (asked.get("reasoning") or {}).get("effort")
    if effort is not None:
        found["reasoning_effort"] = text(effort, "reasoning.effort")
    most = asked.get("top_logprobs") or 0
    if most:
        found["top_logprobs"] = most
    if most or _LOGPROBS in (asked.get("include") or ()):
        found["logprobs"] = True
    return found


def _stream(asked: Fields) -> Fields:
    if not asked.get("stream"):
        return {}
    options = {
        name: value for name, value in (asked.get("stream_options") or {}).items() if name != "include_obfuscation"
    }
    return {"stream": True, "stream_options": {**options, "include_usage": True}}


def repeated(asked: Fields) -> Fields:
    """Return what a Response tells of its request.

    Nothing is cut from a conversation that is too long, so that truncation is disabled whatever was asked.
    """
    told: dict[str, Any] = {
        name: default if asked.get(name) is None else asked[name] for name, default in _REPEATED.items()
    }
    conversation = conversation_of(asked)
    if conversation:
        told["conversation"] = {"id": conversation}
    told["text"] = {"format": {"type": "text"}, **{name: value for name, value in told["text"].items() if value}}
    return {**told, "tools": told_tools(asked.get("tools")), "truncation": "disabled"}
