"""Turns of content blocks -> messages of a chat.

A chat has no place for some blocks beside each other: what tools returned goes before what the user says, each as a
message of its own, and pictures among it are shown by the user. Marks that steer somebody's cache are left out.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, an_object, listed, needed, objects, refuse_kind, text

UNSIGNED: Final = "unsigned"
"""The signature of thoughts that no Messages model has signed; a model that checks signatures is not shown them."""

_THOUGHTS: Final = ("thinking", "redacted_thinking")
_BY_ASSISTANT: Final = ("text", "tool_use", *_THOUGHTS)

NOT_JSON: Final = "INVALID_JSON"
"""The name under which arguments stand that are no JSON object: an input must be one."""

_Parts = list[Fields]


def to_chat(system: object, turns: object) -> list[Fields]:
    """Return the messages of a chat.

    Args:
        system: a text, text blocks, or None.

    Raises:
        DialectError: something is of the wrong kind, or a block cannot be said in a chat.
    """
    found: list[Fields] = []
    if system:
        found.append({"role": "system", "content": _said(_parts(system, "system", _SAID_BY_SYSTEM))})
    for turn, param in objects(turns, "messages"):
        role, content = text(needed(turn, "role", param), f"{param}.role"), needed(turn, "content", param)
        read = _ROLES.get(role)
        if read is None:
            known = ", ".join(_ROLES)
            raise DialectError(f"{param}.role is {role[:80]!a}: use one of {known}", param=f"{param}.role")
        found += read(content, f"{param}.content")
    return found


def _system(content: object, param: str) -> Iterator[Fields]:
    yield {"role": "system", "content": _said(_parts(content, param, _SAID_BY_SYSTEM))}


def _user(content: object, param: str) -> Iterator[Fields]:
    """Yield what tools returned, in order, and then what the user says."""
    if isinstance(content, str):
        yield {"role": "user", "content": content}
        return
    parts: _Parts = []
    shown: _Parts = []
    has_results = False
    for block, at in objects(content, param):
        if block.get("type") != "tool_result":
            parts += _part(block, at, _SAID_BY_USER)
            continue
        has_results = True
        name = text(needed(block, "tool_use_id", at), f"{at}.tool_use_id")
        returned = [] if block.get("content") is None else _parts(block["content"], f"{at}.content", _SAID_BY_TOOL)
        words = [part for part in returned if part["type"] == "text"]
        media = [part for part in returned if part["type"] != "text"]
        if media:
            shown += [_text_part(f"Returned by the tool call {name}:"), *media]
        yield {
            "role": "tool",
            "tool_call_id": name,
            "content": _said(_marked_as_error(words) if block.get("is_error") else words),
        }
    if shown or parts or not has_results:
        yield {"role": "user", "content": _said(shown + parts)}


def _marked_as_error(words: _Parts) -> _Parts:
    """A chat has no field for it, so that the text says it, once."""
    first = words[0]["text"] if words else ""
    if first.lstrip("<[( \n").lower().startswith("error"):
        return words
    return [_text_part(f"Error: {first}" if first else "Error"), *words[1:]]


def _assistant(content: object, param: str) -> Iterator[Fields]:
    if isinstance(content, str):
        yield {"role": "assistant", "content": content}
        return
    blocks = objects(content, param)
    for block, at in blocks:
        if block.get("type") not in _BY_ASSISTANT:
            raise _unknown(block.get("type"), at)
    said = [text(needed(block, "text", at), f"{at}.text") for block, at in blocks if block["type"] == "text"]
    calls = [_call(block, at) for block, at in blocks if block["type"] == "tool_use"]
    message: Fields = {"role": "assistant", "content": "".join(said) if said or not calls else None}
    thoughts = [_thought(block, at) for block, at in blocks if block["type"] in _THOUGHTS]
    words = [thought["thinking"] for thought in thoughts if "thinking" in thought]
    if words:
        message["reasoning_content"] = "\n".join(words)
    kept = [thought for thought in thoughts if thought.get("signature") != UNSIGNED]
    if kept:
        message["thinking_blocks"] = kept
    if calls:
        message["tool_calls"] = calls
    yield message


def _thought(block: Fields, param: str) -> Fields:
    if block["type"] == "redacted_thinking":
        return {"type": block["type"], "data": text(needed(block, "data", param), f"{param}.data")}
    words = text(needed(block, "thinking", param), f"{param}.thinking")
    return {"type": block["type"], "thinking": words, "signature": block.get("signature") or UNSIGNED}


def _call(block: Fields, param: str) -> Fields:
    name = text(needed(block, "name", param), f"{param}.name")
    given = an_object(block.get("input", {}), f"{param}.input")
    return {
        "id": text(needed(block, "id", param), f"{param}.id"),
        "type": "function",
        "function": {"name": name, "arguments": arguments_of(given)},
    }


def arguments_of(given: Fields) -> str:
    """Return the arguments of a call as the text that a chat has of them."""
    if given.keys() == {NOT_JSON} and isinstance(given[NOT_JSON], str):
        return str(given[NOT_JSON])
    return msgspec.json.encode(given).decode()


def input_of(arguments: str) -> Fields:
    """Return the input of a tool that a text spells; a text that spells no object stands in one as it is."""
    if not arguments.strip():
        return {}
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {NOT_JSON: arguments}


def _parts(content: object, param: str, known: "_Known") -> _Parts:
    if isinstance(content, str):
        return [_text_part(content)]
    if not isinstance(content, list):
        refuse_kind(content, str, param)
    return [part for block, at in objects(content, param) for part in _part(block, at, known)]


def _part(block: Fields, param: str, known: "_Known") -> _Parts:
    kind = block.get("type")
    read = known.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise _unknown(kind, param)
    return read(block, param)


def _unknown(kind: object, param: str) -> DialectError:
    shown = kind[:80] if isinstance(kind, str) else type(kind).__name__
    return DialectError(f"{param} is a block of type {shown!a}, which no model here takes there", param=f"{param}.type")


def _said(parts: _Parts) -> str | _Parts:
    """Return a text where there is but one; every model reads that, and some nothing else."""
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _text_part(said: str) -> Fields:
    return {"type": "text", "text": said}


def _text(block: Fields, param: str) -> _Parts:
    return [_text_part(text(needed(block, "text", param), f"{param}.text"))]


def _image(block: Fields, param: str) -> _Parts:
    source, at = an_object(needed(block, "source", param), f"{param}.source"), f"{param}.source"
    match source.get("type"):
        case "base64":
            url = _data_url(source, at)
        case "url":
            url = text(needed(source, "url", at), f"{at}.url")
        case _:
            raise _unreachable(at)
    return [{"type": "image_url", "image_url": {"url": url}}]


def _document(block: Fields, param: str) -> _Parts:
    source, at = an_object(needed(block, "source", param), f"{param}.source"), f"{param}.source"
    head = [block[name] for name in ("title", "context") if isinstance(block.get(name), str) and block[name]]
    match source.get("type"):
        case "base64":
            name = head[0] if isinstance(block.get("title"), str) and block["title"] else "document.pdf"
            return [{"type": "file", "file": {"filename": name, "file_data": _data_url(source, at)}}]
        case "text":
            return [_text_part("\n".join([*head, text(needed(source, "data", at), f"{at}.data")]))]
        case "content":
            return [*map(_text_part, head), *_parts(needed(source, "content", at), f"{at}.content", _SAID_BY_DOCUMENT)]
        case _:
            raise _unreachable(at)


def _search_result(block: Fields, param: str) -> _Parts:
    head = [block[name] for name in ("title", "source") if isinstance(block.get(name), str)]
    found = listed(needed(block, "content", param), f"{param}.content")
    words = [part["text"] for part in _parts(found, f"{param}.content", _SAID_BY_SYSTEM)]
    return [_text_part("\n".join([*head, *words]))]


def _tool_reference(block: Fields, param: str) -> _Parts:
    return [_text_part(text(needed(block, "tool_name", param), f"{param}.tool_name"))]


def _data_url(source: Fields, param: str) -> str:
    media_type = text(needed(source, "media_type", param), f"{param}.media_type")
    return f"data:{media_type};base64,{text(needed(source, 'data', param), f'{param}.data')}"


def _unreachable(param: str) -> DialectError:
    return DialectError(
        f"{param} is kept by another service or has to be fetched: send its bytes as base64", param=f"{param}.type"
    )


_Known = dict[str, Callable[[Fields, str], _Parts]]
_ROLES: Final = {"user": _user, "assistant": _assistant, "system": _system}
_SAID_BY_SYSTEM: Final[_Known] = {"text": _text}
_SAID_BY_DOCUMENT: Final[_Known] = {"text": _text, "image": _image}
_SAID_BY_USER: Final[_Known] = {**_SAID_BY_DOCUMENT, "document": _document, "search_result": _search_result}
_SAID_BY_TOOL: Final[_Known] = {**_SAID_BY_USER, "tool_reference": _tool_reference}
