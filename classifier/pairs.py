"""JSONL file -> labelled pairs, or an error that names line and column.

A pair is one prompt with what Large (strong) and Mini (weak) scored on it. Knows nothing of features or fitting.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.base import Prompt, Turn

ENOUGH = 0.5  # a weak score from which Mini was enough
FEWEST = 50  # pairs
FEWEST_GROUPS = 5  # of either class, so that each fold of a cross-validation can hold one


class PairsError(ValueError):
    """The labelled data cannot be used; the message names file, line and column."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One labelled prompt.

    Attributes:
        strong_score, weak_score: how good Large's and Mini's replies were, 0.0 to 1.0.
        group: the question's key; rows of one group are about the same question.
    """

    prompt: Prompt
    strong_score: float
    weak_score: float
    group: str

    @property
    def needs_large(self) -> bool:
        """Tell whether Mini was not enough."""
        return self.weak_score < ENOUGH


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a JSONL file.

    Each line is an object with `prompt` (text) or `messages` (as in a chat request), `strong_score`, `weak_score`
    and `group`; `tools` (a list) and `max_tokens` may stand beside them, other columns are passed over.

    Raises:
        PairsError: a line is not such an object, or there are too few rows or groups of either class.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise PairsError(f"{path}: cannot be read: {error.strerror or type(error).__name__}") from error
    pairs = [_pair(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    check(pairs, str(path))
    return pairs


def check(pairs: Sequence[Pair], place: str) -> None:
    """Raise `PairsError`, which names `place`, where there are too few rows or groups of either class."""
    if len(pairs) < FEWEST:
        raise PairsError(f"{place}: holds {len(pairs)} rows; fitting needs at least {FEWEST}")
    for needs_large, words in ((True, "weak_score below 0.5"), (False, "weak_score of 0.5 or more")):
        groups = {pair.group for pair in pairs if pair.needs_large is needs_large}
        if not groups:
            raise PairsError(f"{place}:weak_score: one class only, no row has a {words}; add such rows")
        if len(groups) < FEWEST_GROUPS:
            raise PairsError(
                f"{place}:group: {len(groups)} groups have rows with a {words}; at least {FEWEST_GROUPS} are needed"
            )


def _pair(line: bytes, place: str) -> Pair:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PairsError(f"{place}: is not a line of JSON in UTF-8; write one object a line") from error
    if not isinstance(row, dict):
        raise PairsError(f"{place}: is {type(row).__name__}; write one object a line")
    group = _present(row, "group", place)
    if isinstance(group, bool) or not isinstance(group, str | int):
        raise PairsError(f"{place}:group: is {type(group).__name__}; write the question's key as a string")
    return Pair(
        prompt=_prompt(row, place),
        strong_score=_share(row, "strong_score", place),
        weak_score=_share(row, "weak_score", place),
        group=str(group),
    )


def _present(row: dict[str, Any], column: str, place: str) -> object:
    if row.get(column) is None:
        raise PairsError(
            f"{place}:{column}: is missing; a line needs prompt or messages, strong_score, weak_score, group"
        )
    return row[column]


def _share(row: dict[str, Any], column: str, place: str) -> float:
    value = _present(row, column, place)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PairsError(f"{place}:{column}: is {str(value)[:40]}; write a number from 0 to 1")
    return float(value)


def _prompt(row: dict[str, Any], place: str) -> Prompt:
    tools, max_tokens = row.get("tools") or [], row.get("max_tokens")
    if not isinstance(tools, list):
        raise PairsError(f"{place}:tools: is {type(tools).__name__}; write a list")
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int | None):
        raise PairsError(f"{place}:max_tokens: is {type(max_tokens).__name__}; write a whole number")
    if row.get("messages") is None:
        text = _present(row, "prompt", place)
        if not isinstance(text, str):
            raise PairsError(f"{place}:prompt: is {type(text).__name__}; write a string")
        return Prompt((Turn("user", text),), len(tools), max_tokens)
    messages = row["messages"]
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise PairsError(f"{place}:messages: is no list of objects; write messages as in a chat request")
    turns = tuple(Turn(str(message.get("role")), _text_of(message.get("content"))) for message in messages)
    return Prompt(turns, len(tools), max_tokens)


def _text_of(content: object) -> str:
    """Return the text of a message; of a list of parts, the text parts."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""
