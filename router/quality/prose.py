"""Text -> its prose and its data: code, tables and JSON repeat themselves by their nature.

Rules of form alone. What is data is judged by other measures, and where it is still open at the end, it was cut.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LONG_STRING: Final = 200  # characters, from which on a value in JSON is prose
CODE_SHARE: Final = 0.4  # of the lines without a fence, from which on all of them are code
FEWEST_CODE: Final = 3  # lines
FEWEST_CELLS: Final = 3  # of a line in a table without a frame
FEWEST_ROWS: Final = 3
WORDY: Final = 0.4  # share of words among the tokens of a line, below which it is data

_FENCE: Final = re.compile(r"^\s{0,3}(```|~~~)", re.MULTILINE)
_TOKENS: Final = re.compile(r"\d+|[^\W\d_]+|[^\w\s]|_+")
_CODE_LINE: Final = re.compile(
    r"[({=\[<].*[;{}]\s*$|^\s*[\w.]+;\s*$|^\s*[\]})]+[;,]?\s*$|[)\]]\s*[:;{]\s*$|=>|::|->|</?\w+[^>]*>"
    r"|^\s*(?:#include|import \w|from \w+ import|def \w+\(|class \w+[:({]|return\b|public |private |const |let |var "
    r"|func |fn |\$ |//|@\w+|(?i:select|insert into|update|where|group by|order by)\b.*[;*=()])"
    r"|\w\([^)]*\)\s*;?\s*$|^\s*\"[^\"]*\"\s*:|^\s*-?\s*[A-Za-z_][\w-]*:(?: [\w./-]+)?$|^\s*[\w.\[\]]+\s*[-+*/]?=\s*\S"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """A text by what it is made of.

    Attributes:
        prose: without the data, in order.
        data: code, tables, JSON and rows of numbers, likewise.
        is_cut: the text ends in data that is not closed: a fence, a document, or a table, which has no end of its own.
    """

    prose: str
    data: str
    is_cut: bool


def parts_of(text: str) -> Parts:
    """Return the prose and the data of a text."""
    document = _document(text)
    if document is not None:
        return document
    if "```" not in text and "~~~" not in text:
        return _by_lines(text)
    pieces = _FENCE.split(text)  # text, fence, text, fence, ...: what stands after an odd fence is code
    outside, inside = "\n".join(pieces[::4]), "\n".join(pieces[2::4])
    is_open = len(pieces) // 2 % 2 == 1
    rest = _by_lines(outside)
    is_cut = is_open or (rest.is_cut and pieces[-1].strip() != "")
    return Parts(rest.prose, f"{inside}\n{rest.data}" if not is_open else f"{rest.data}\n{inside}", is_cut)


def _document(text: str) -> Parts | None:
    """Return the parts of a text that is one JSON document, whole or cut; None for any other."""
    whole = text.strip()
    if not whole.startswith(("{", "[")):
        return None
    try:
        value = json.loads(whole)
    except (ValueError, RecursionError):
        looks_like_one = re.match(r"[\[{]\s*(?:[\[{\"\]}]|-?\d)", whole)
        return Parts("", text, is_cut=True) if looks_like_one else None
    return Parts("\n".join(_long_strings(value)), text, is_cut=False)


def _long_strings(value: object) -> list[str]:
    found, waiting = list[str](), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and len(each) >= LONG_STRING:
            found.append(each)
        elif isinstance(each, (list, dict)):
            waiting += each.values() if isinstance(each, dict) else each
    return found


def _by_lines(text: str) -> Parts:
    """Tell prose from data line by line."""
    lines = text.split("\n")
    filled = [line for line in lines if line.strip()]
    coded = sum(1 for line in filled if _CODE_LINE.search(line)) if len(filled) >= FEWEST_CODE else 0
    if coded >= max(FEWEST_CODE, CODE_SHARE * len(filled)):
        return Parts("", text, is_cut=True)
    rows = _rows(lines)
    prose = [line for line, is_row in zip(lines, rows, strict=True) if not is_row]
    data = [line for line, is_row in zip(lines, rows, strict=True) if is_row]
    last = next((is_row for line, is_row in zip(reversed(lines), reversed(rows), strict=True) if line.strip()), False)
    return Parts("\n".join(prose), "\n".join(data), is_cut=last)


def _rows(lines: Sequence[str]) -> list[bool]:
    """Return which lines are rows of a table, or of numbers and marks."""
    commas = [line.count(",") for line in lines]
    rows = [_is_framed(line) or not _is_wordy(line) for line in lines]
    begin = 0
    while begin < len(lines):
        end = begin + 1
        while end < len(lines) and commas[end] == commas[begin]:
            end += 1
        cells = commas[begin] + 1
        if cells >= FEWEST_CELLS and end - begin >= FEWEST_ROWS:
            words = sum(len(line.split()) for line in lines[begin:end])
            if words <= 2 * cells * (end - begin):
                rows[begin:end] = [True] * (end - begin)
        begin = end
    return rows


def _is_framed(line: str) -> bool:
    return line.count("|") > 1 or line.count("\t") > 1


def _is_wordy(line: str) -> bool:
    """Tell a line of words from one of numbers and marks; a short one, as a list has them, counts as words."""
    tokens = _TOKENS.findall(line)
    words = sum(1 for token in tokens if token[0].isalpha())
    letters = sum(len(token) for token in tokens if token[0].isalpha())
    return not tokens or words >= WORDY * len(tokens) or letters >= WORDY * len(line)
