"""Server-sent events of a chat completion -> the whole completion that they add up to.

Read as they pass, a little at a time, so that a long answer costs no long moment at its end. A field that is not known
here is kept as well: texts are joined, parts with an index are joined by it, of anything else the last word counts.

Source: OpenAI API reference, "Chat completion chunk"; WHATWG HTML, section 9.2 "Server-sent events".
"""

from typing import Final

import msgspec

MAX_TEXT: Final = 8 << 20  # bytes of events; what is longer is not stored
_DEEPEST: Final = 16  # levels that are joined; what lies below is taken as it comes
_NAMES: Final = frozenset(
    {"id", "type", "role", "object", "finish_reason"}
)  # texts that are said again, and not continued
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_read: Final = msgspec.json.Decoder().decode


class _Text(list[str]):
    """A text of which more may come."""


class Assembly:
    """One stream.

    Attributes:
        is_too_long: more came than is stored.
    """

    __slots__ = ("_choices", "_frame", "_held", "_size", "is_too_long")

    def __init__(self) -> None:
        self._held = b""
        self._size = 0
        self._frame: dict[str, object] = {}
        self._choices: dict[int, dict[str, object]] = {}
        self.is_too_long = False

    def hear(self, data: bytes) -> None:
        """Take what passes, in pieces of any size; what is no chunk of a completion adds nothing."""
        self._size += len(data)
        if self._size > MAX_TEXT:
            self.is_too_long = True
            self._held, self._frame, self._choices = b"", {}, {}
            return
        lines = (self._held + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._held = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._learn(line[5:])

    def completion(self) -> bytes | None:
        """Return the JSON of what was said; None where that was nothing, or too much."""
        if self._held.startswith(b"data:"):
            self._learn(self._held[5:])
            self._held = b""
        if self.is_too_long or not self._choices:
            return None
        choices = [_whole_choice(index, self._choices[index]) for index in sorted(self._choices)]
        return msgspec.json.encode({**self._frame, "object": "chat.completion", "choices": choices})

    def _learn(self, payload: bytes) -> None:
        try:
            chunk = _read(payload)
        except _UNREADABLE:
            return  # [DONE], a ping, or nothing that could be understood
        if not isinstance(chunk, dict):
            return
        for name, value in chunk.items():
            if name != "choices" and (value is not None or name not in self._frame):
                self._frame[name] = value
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and isinstance(choice.get("index", 0), int):
                _add(self._choices.setdefault(choice.get("index", 0), {}), choice)


def _whole_choice(index: int, heard: dict[str, object]) -> dict[str, object]:
    choice = {name: _settled(value) for name, value in heard.items() if name != "delta"}
    delta = _settled(heard.get("delta"))
    message: dict[str, object] = {"role": "assistant", "content": None, "refusal": None}
    if isinstance(delta, dict):
        message |= {name: value for name, value in delta.items() if value is not None or name not in message}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": None, **choice}


def _add(known: dict[str, object], heard: dict[str, object], depth: int = 0) -> None:
    """Add what was heard to what is known, in place."""
    for name, value in heard.items():
        before = known.get(name)
        if value is None:
            known.setdefault(name, None)
        elif isinstance(value, str) and name not in _NAMES:
            if isinstance(before, _Text):
                before.append(value)
            else:
                known[name] = _Text([value])
        elif isinstance(value, dict) and depth < _DEEPEST:
            below = before if isinstance(before, dict) else {}
            known[name] = below
            _add(below, value, depth + 1)
        elif isinstance(value, list) and depth < _DEEPEST:
            known[name] = _joined(before if isinstance(before, list) else [], value, depth + 1)
        else:
            known[name] = value


def _joined(known: list[object], heard: list[object], depth: int) -> list[object]:
    """Return a list with what was heard: parts of one index become one, all others stand one behind the other."""
    for part in heard:
        if not isinstance(part, dict):
            known.append(part)
            continue
        index, same = part.get("index"), None
        if index is not None:
            same = next((each for each in known if isinstance(each, dict) and each.get("index") == index), None)
        if same is None:
            known.append(same := {})
        _add(same, part, depth)
    return known


def _settled(value: object, depth: int = 0) -> object:
    """Return the value with its texts whole, and its parts without the index that a stream alone has."""
    if isinstance(value, _Text):
        return "".join(value)
    if depth > 2 * _DEEPEST:
        return value
    if isinstance(value, dict):
        return {name: _settled(each, depth + 1) for name, each in value.items() if name != "index"}
    if isinstance(value, list):
        return [_settled(each, depth + 1) for each in value]
    return value
