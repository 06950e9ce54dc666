"""Rows of a file -> examples to learn from, or an error that names line and column.

A row has `prompt` (text) or `messages` (as in a chat request), and `answer`: what Large said. Beside them may stand
`difficulty`, "simple" or "complex", which is meant where it is missing, and `group`. Reads no file.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from backends.engines.distilling.base import Example, ExamplesError, Message

COLUMNS: Final = ("prompt", "messages", "answer", "difficulty", "group")
FEWEST: Final = 50
"""Examples, to learn from and to be examined on together."""

_ROLES: Final = ("system", "developer", "user", "assistant")
_DIFFICULTIES: Final = ("simple", "complex")
_EXAMINED_ONE_IN: Final = 5
_GROUP_DIGITS: Final = 16


def examples_of(rows: Iterable[tuple[int, Mapping[str, Any]]], path: Path) -> list[Example]:
    """Return the examples of a file, in its order.

    Args:
        rows: each with its number in the file.
        path: for the text of an error.

    Raises:
        ExamplesError: a row is no example.
    """
    return [_example(row, f"{path}:{number}") for number, row in rows]


def split(examples: Sequence[Example], *, seed: int) -> tuple[list[Example], list[Example]]:
    """Return (to learn from, to be examined on); about one group in five is examined on.

    Raises:
        ExamplesError: there are too few.
    """
    if len(examples) < FEWEST:
        raise ExamplesError(f"there are {len(examples)} examples, and at least {FEWEST} are needed: gather more")
    taught, asked = list[Example](), list[Example]()
    for example in examples:
        mark = hashlib.blake2b(f"{seed}/{example.group}".encode()).digest()[0]
        (taught if mark % _EXAMINED_ONE_IN else asked).append(example)
    if not (taught and asked):
        raise ExamplesError(
            f"the {len(examples)} examples are of too few groups to be split: give different questions different groups"
        )
    return taught, asked


def group_of(messages: Sequence[Message]) -> str:
    """Return a key that equal conversations share, letter case and outer white space aside."""
    text = "\0".join(f"{message.role}\0{message.text.strip().casefold()}" for message in messages)
    return hashlib.blake2b(text.encode()).hexdigest()[:_GROUP_DIGITS]


def _example(row: Mapping[str, Any], place: str) -> Example:
    messages = _messages(row, place)
    answer = row.get("answer")
    if answer is None:
        raise ExamplesError(f"{place}:answer: is missing; a row needs prompt or messages, and what Large answered")
    difficulty = row.get("difficulty", "complex")
    if difficulty not in _DIFFICULTIES:
        raise ExamplesError(f"{place}:difficulty: is {str(difficulty)[:40]!a}; write {' or '.join(_DIFFICULTIES)}")
    group = row.get("group")
    return Example(
        messages=messages,
        answer=_text(answer, "answer", place),
        is_simple=difficulty == "simple",
        group=group_of(messages) if group is None else _text(str(group), "group", place),
    )


def _messages(row: Mapping[str, Any], place: str) -> tuple[Message, ...]:
    told = row.get("messages")
    if told is None:
        if row.get("prompt") is None:
            raise ExamplesError(f"{place}:prompt: is missing; a row needs prompt or messages, and what Large answered")
        return (Message("user", _text(row["prompt"], "prompt", place)),)
    if not isinstance(told, list) or not told or not all(isinstance(message, dict) for message in told):
        raise ExamplesError(f"{place}:messages: is no list of objects; write messages as in a chat request")
    messages = tuple(_message(message, place) for message in told)
    if messages[-1].role != "user":
        raise ExamplesError(
            f"{place}:messages: ends with the role {messages[-1].role!r}; the last message is the user's,"
            " and what Large said to it stands in answer"
        )
    return messages


def _message(message: Mapping[str, Any], place: str) -> Message:
    role = message.get("role")
    if role not in _ROLES:
        raise ExamplesError(f"{place}:messages: has the role {str(role)[:40]!a}; learnt are {', '.join(_ROLES)}")
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if len(parts) != len(content) or not all(isinstance(part, str) for part in parts):
            raise ExamplesError(f"{place}:messages: holds a part that is no text; leave such conversations out")
        content = "\n".join(map(str, parts))
    return Message(str(role), _text(content, "messages", place))


def _text(value: object, column: str, place: str) -> str:
    if not isinstance(value, str):
        raise ExamplesError(f"{place}:{column}: is {type(value).__name__}; write text")
    if not value.strip():
        raise ExamplesError(f"{place}:{column}: is empty; leave rows without text out")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ExamplesError(f"{place}:{column}: holds half of a surrogate pair; write whole characters") from error
    return value
