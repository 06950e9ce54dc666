"""Labelled file -> pairs, or an error that names line and column.

A pair is one prompt with what Large (strong) and Mini (weak) scored on it. Knows nothing of features, fitting or of
how a file is laid out; line numbers of a parquet file are its rows'.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.base import Prompt, Turn
from classifier.tables import TableError, read_rows

ENOUGH = 0.5  # a weak score from which Mini was enough
FEWEST = 50  # pairs
FEWEST_GROUPS = 5  # of either class, so that each fold of a cross-validation can hold one
_COLUMNS = ("prompt", "messages", "strong_score", "weak_score", "group", "tools", "max_tokens", "tenant")


class PairsError(ValueError):
    """The labelled data cannot be used; the message names file, line and column."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One labelled prompt.

    Attributes:
        strong_score, weak_score: how good Large's and Mini's replies were, 0.0 to 1.0.
        group: the question's key; rows of one group are about the same question.
        source: where the row comes from, by which figures may be told apart; "" where it does not say.
        line: the line or row of its file, from 1; 0 where it is of no file.
        score: what another router scored the prompt; None where none was read.
    """

    prompt: Prompt
    strong_score: float
    weak_score: float
    group: str
    source: str = ""
    line: int = 0
    score: float | None = None

    @property
    def needs_large(self) -> bool:
        """Tell whether Mini was not enough."""
        return self.weak_score < ENOUGH


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a file that something can be fitted on.

    Raises:
        PairsError: as `read_labelled`, or there are too few rows or groups of either class.
    """
    pairs = read_labelled(path)
    check(pairs, str(path))
    return pairs


def read_labelled(path: Path, *, by: str = "source", score_column: str | None = None) -> list[Pair]:
    """Return the pairs of a file of JSON lines or parquet, in its order.

    Each row has `prompt` (text) or `messages` (as in a chat request), `strong_score`, `weak_score` and `group`; `tools`
    (a list), `max_tokens` and `tenant` may stand beside them, other columns are passed over.

    Args:
        by: the column that becomes `Pair.source`; rows need not have it.
        score_column: the column that becomes `Pair.score`, any finite number; None reads none.

    Raises:
        PairsError: the file cannot be read, or a row is not such an object.
    """
    columns = {*_COLUMNS, by, *([score_column] if score_column else [])}
    try:
        return [
            _pair(row, path, line=line, by=by, score_column=score_column)
            for line, row in read_rows(path, columns=columns)
        ]
    except TableError as error:
        raise PairsError(str(error)) from error


def marks_of(groups: Iterable[str]) -> NDArray[np.uint32]:
    """Return a mark for each group, shape (n,): enough to tell a group again, too little to tell what it was."""
    found = b"".join(
        [hashlib.blake2b(group.encode("utf-8", "surrogatepass"), digest_size=4).digest() for group in groups]
    )
    return np.frombuffer(found, "<u4").astype(np.uint32)


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


def check_disjoint(train: Sequence[Pair], test: Sequence[Pair], *, train_place: str, test_place: str) -> None:
    """Raise `PairsError` where a group is on both sides of a split; the places are the names of both files."""
    trained = {pair.group: pair.line for pair in reversed(train)}
    shared = {pair.group: pair.line for pair in reversed(test) if pair.group in trained}
    if shared:
        group, line = min(shared.items(), key=lambda found: found[1])
        raise PairsError(
            f"{test_place}:{line}:group: {group[:80]!r} is in {train_place}:{trained[group]} too, as are "
            f"{len(shared) - 1} other groups; split by group, never by row"
        )


# --- one row ---------------------------------------------------------------------------------------


def _pair(row: dict[str, Any], path: Path, *, line: int, by: str, score_column: str | None) -> Pair:
    place = f"{path}:{line}"
    group = _present(row, "group", place)
    if isinstance(group, bool) or not isinstance(group, str | int):
        raise PairsError(f"{place}:group: is {type(group).__name__}; write the question's key as a string")
    return Pair(
        prompt=_prompt(row, place),
        strong_score=_share(row, "strong_score", place),
        weak_score=_share(row, "weak_score", place),
        group=_printable(str(group), "group", place),
        source=_source(row, by, place),
        line=line,
        score=_score(row, score_column, place) if score_column else None,
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


def _score(row: dict[str, Any], column: str, place: str) -> float:
    value = row.get(column)
    if value is None:
        raise PairsError(f"{place}:{column}: is missing; every row needs the score that is to be judged")
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise PairsError(f"{place}:{column}: is {str(value)[:40]}; write a finite number")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _source(row: dict[str, Any], by: str, place: str) -> str:
    value = row.get(by)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise PairsError(f"{place}:{by}: is {type(value).__name__}; write text")
    return _printable(str(value), by, place)


def _printable(text: str, column: str, place: str) -> str:
    """Return the text; raise where JSON escapes made one that no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PairsError(f"{place}:{column}: holds half of a surrogate pair; write whole characters") from error
    return text


def _prompt(row: dict[str, Any], place: str) -> Prompt:
    tools, tenant = row.get("tools") or [], row.get("tenant")
    if not isinstance(tools, list):
        raise PairsError(f"{place}:tools: is {type(tools).__name__}; write a list")
    if not isinstance(tenant, str | None):
        raise PairsError(f"{place}:tenant: is {type(tenant).__name__}; write a string")
    of_request = (len(tools), _limit(row.get("max_tokens"), place), tenant or "")
    if row.get("messages") is None:
        text = _present(row, "prompt", place)
        if not isinstance(text, str):
            raise PairsError(f"{place}:prompt: is {type(text).__name__}; write a string")
        return Prompt((Turn("user", text),), *of_request)
    messages = row["messages"]
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise PairsError(f"{place}:messages: is no list of objects; write messages as in a chat request")
    turns = tuple(Turn(str(message.get("role")), _text_of(message.get("content"))) for message in messages)
    return Prompt(turns, *of_request)


def _limit(value: object, place: str) -> int | None:
    """Return a limit in tokens; tables write a whole number beside missing ones as 512.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | None):
        raise PairsError(f"{place}:max_tokens: is {type(value).__name__}; write a whole number")
    return value


def _text_of(content: object) -> str:
    """Return the text of a message; of a list of parts, the text parts."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""
