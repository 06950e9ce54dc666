"""One row of JSON -> Mini's replies in it, or what is wrong with it.

A row has `mini_replies`, a list of texts, and may have `logprobs`: the token log-probabilities of the first reply, or a
list of them for each reply; and `finish_reasons`, one for each. Replies of a file have ended, unless it says otherwise.
"""

import math
from collections.abc import Mapping, Sequence

from classifier.base import Sample

ENDED = "stop"


class RowError(ValueError):
    """The row's replies cannot be read; the message begins with the column."""


def replies_of(row: Mapping[str, object]) -> tuple[Sample, ...]:
    """Return the replies; none where the row has no `mini_replies`, or null.

    Raises:
        RowError: a column is of another shape.
    """
    texts = row.get("mini_replies")
    if texts is None:
        return ()
    if not isinstance(texts, Sequence) or isinstance(texts, str) or not texts:
        raise RowError(f"mini_replies: is {_named(texts)}; write a list of one or more texts")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise RowError(f"mini_replies[{place}]: is {_named(text)}; write a text")
    logprobs, reasons = _logprobs(row.get("logprobs"), len(texts)), _reasons(row.get("finish_reasons"), len(texts))
    return tuple(Sample(*parts) for parts in zip(texts, logprobs, reasons, strict=True))


def _logprobs(value: object, count: int) -> list[tuple[float, ...] | None]:
    if value is None:
        return [None] * count
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise RowError(f"logprobs: is {_named(value)}; write a list of numbers, or one such list for each reply")
    if not any(one is None or (isinstance(one, Sequence) and not isinstance(one, str)) for one in value):
        return [_numbers(value, "logprobs"), *[None] * (count - 1)]
    if len(value) > count:
        raise RowError(f"logprobs: holds {len(value)} lists for {count} replies; write one for each")
    told = [None if one is None else _numbers(one, f"logprobs[{place}]") for place, one in enumerate(value)]
    return [*told, *[None] * (count - len(told))]


def _numbers(value: object, column: str) -> tuple[float, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise RowError(f"{column}: is {_named(value)}; write a list of numbers")
    for place, one in enumerate(value):
        if isinstance(one, bool) or not isinstance(one, int | float) or not _is_finite(one):
            raise RowError(f"{column}[{place}]: is {str(one)[:40]}; write a finite number")
    return tuple(map(float, value))


def _reasons(value: object, count: int) -> list[str | None]:
    if value is None:
        return [ENDED] * count
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        raise RowError(f"finish_reasons: is {_named(value)}; write a list with one text for each reply")
    for place, one in enumerate(value):
        if not isinstance(one, str | None):
            raise RowError(f"finish_reasons[{place}]: is {_named(one)}; write a text or null")
    return list(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _named(value: object) -> str:
    """Return what a value is, in JSON's words and at most one of Python's."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a list of {len(value)}" if value else "empty"
    return "null" if value is None else type(value).__name__
