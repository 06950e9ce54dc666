"""Messages of a chat -> a system prompt, and turns of content blocks that alternate.

What a Messages model demands is seen to here: the system's words stand apart, neighbours of one role are one turn, the
user begins, results of tools go first, no text is blank, and ids consist of the characters that are allowed.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

from backends.dialects.base import DialectError
from backends.dialects.messages.blocks import UNSIGNED, input_of
from backends.dialects.reading import Fields, an_object, below, needed, objects, refuse_kind, text
from backends.history.roles import FIRST_WORDS

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DATA_URL: Final = re.compile(r"data:([^;,]+)((?:;[^;,]+)*?)(;base64)?,", re.IGNORECASE)
_SYSTEM: Final = ("system", "developer")
_PDF: Final = "application/pdf"

_Blocks = list[Fields]


def from_chat(messages: object) -> tuple[str | _Blocks, list[Fields]]:
    """Return the system prompt, "" for none, and the turns.

    Raises:
        DialectError: something is of the wrong kind, or cannot be said in content blocks.
    """
    system: _Blocks = []
    turns: list[Fields] = []
    for message, param in objects(messages, "messages"):
        role = text(needed(message, "role", param), f"{param}.role")
        if role in _SYSTEM:
            system += _spoken(message.get("content"), f"{param}.content")
            continue
        speaker, blocks = _turn(role, message, param)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": speaker, "content": blocks})
    if not turns:
        raise DialectError("messages hold nothing that is said by the user", param="messages")
    if turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [_text_block(FIRST_WORDS)]})
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    _trim_last(turns[-1])
    return (system[0]["text"] if len(system) == 1 else system or ""), turns


def _trim_last(turn: Fields) -> None:
    """An assistant's turn that is to be gone on with must not end in blanks."""
    last = turn["content"][-1]
    if turn["role"] == "assistant" and last["type"] == "text":
        turn["content"][-1] = {**last, "text": last["text"].rstrip()}


def _turn(role: str, message: Fields, param: str) -> tuple[str, _Blocks]:
    content, at = message.get("content"), f"{param}.content"
    match role:
        case "user":
            return "user", [*_heard(content, at)]
        case "assistant":
            return "assistant", [*_thought(message), *_spoken(content, at), *_called(message, param)]
        case "tool":
            name = text(needed(message, "tool_call_id", param), f"{param}.tool_call_id")
            result: Fields = {"type": "tool_result", "tool_use_id": allowed_id(name)}
            returned = [*_heard(content, at)]
            return "user", [{**result, "content": returned} if returned else result]
        case _:
            known = "developer, system, user, assistant, tool"
            raise DialectError(f"{param}.role is {role[:80]!a}: use one of {known}", param=f"{param}.role")


def allowed_id(name: str) -> str:
    """Return an id that a Messages model takes: the same one, or where it has other characters its digest."""
    return (
        name if _ID.fullmatch(name) else f"toolu_{blake2b(name.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"
    )


def _thought(message: Fields) -> Iterator[Fields]:
    """Yield the thoughts that a Messages model has signed; it takes no others."""
    for block in message.get("thinking_blocks") or ():
        if not isinstance(block, dict):
            continue
        names = ("thinking", "signature") if block.get("type") == "thinking" else ("data",)
        is_ours = block.get("type") in ("thinking", "redacted_thinking") and block.get("signature") not in (
            "",
            UNSIGNED,
        )
        if is_ours and all(isinstance(block.get(name), str) for name in names):
            yield {"type": block["type"], **{name: block[name] for name in names}}


def _called(message: Fields, param: str) -> Iterator[Fields]:
    for call, at in objects(message.get("tool_calls") or [], f"{param}.tool_calls"):
        function = an_object(needed(call, "function", at), f"{at}.function")
        yield {
            "type": "tool_use",
            "id": allowed_id(text(needed(call, "id", at), f"{at}.id")),
            "name": text(needed(function, "name", f"{at}.function"), f"{at}.function.name"),
            "input": input_of(text(function.get("arguments") or "", f"{at}.function.arguments")),
        }


def _spoken(content: object, param: str) -> Iterator[Fields]:
    """Yield text blocks of what can be nothing else."""
    for part, at in _parts(content, param):
        name = part.get("type")
        if name not in ("text", "refusal"):
            raise _unsaid(name, at)
        words = text(needed(part, name, at), below(at, name))
        if words.strip():
            yield _text_block(words)


def _heard(content: object, param: str) -> Iterator[Fields]:
    for part, at in _parts(content, param):
        match part.get("type"):
            case "text":
                words = text(needed(part, "text", at), f"{at}.text")
                if words.strip():
                    yield _text_block(words)
            case "image_url":
                image = an_object(needed(part, "image_url", at), f"{at}.image_url")
                yield {"type": "image", "source": _image(image, f"{at}.image_url")}
            case "file":
                yield _document(an_object(needed(part, "file", at), f"{at}.file"), f"{at}.file")
            case kind:
                raise _unsaid(kind, at)


def _parts(content: object, param: str) -> list[tuple[Fields, str]]:
    if content is None:
        return []
    if isinstance(content, str):
        return [(_text_block(content), param)]
    if not isinstance(content, list):
        refuse_kind(content, str, param)
    return objects(content, param)


def _unsaid(kind: Any, param: str) -> DialectError:  # noqa: ANN401  (any JSON)
    shown = kind[:80] if isinstance(kind, str) else type(kind).__name__
    return DialectError(
        f"{param} is a part of type {shown!a}, which this backend does not take there", param=f"{param}.type"
    )


def _image(image: Fields, param: str) -> Fields:
    url = text(needed(image, "url", param), f"{param}.url")
    if url[:5].lower() != "data:":
        return {"type": "url", "url": url}
    return _base64(url, f"{param}.url")


def _document(file: Fields, param: str) -> Fields:
    data = text(needed(file, "file_data", param), f"{param}.file_data")
    source = _base64(data, f"{param}.file_data")
    if source["media_type"] != _PDF:
        raise DialectError(f"{param} is a {source['media_type'][:80]}: this backend reads PDF alone", param=param)
    title = {"title": file["filename"]} if isinstance(file.get("filename"), str) and file["filename"] else {}
    return {"type": "document", "source": source, **title}


def _base64(url: str, param: str) -> Fields:
    found = _DATA_URL.match(url[:256])
    if found is None or found[3] is None:
        raise DialectError(f"{param} is no data URL of base64: write it as data:TYPE;base64,...", param=param)
    return {"type": "base64", "media_type": found[1].lower(), "data": url[found.end() :]}


def _text_block(words: str) -> Fields:
    return {"type": "text", "text": words}
