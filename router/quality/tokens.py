"""Text -> tokens that are counted for their likeness, and how many words stand between two marks.

Words in lower case, each mark by itself, each CJK character by itself, so that English and Chinese are measured alike.
These are no model's tokens.
"""

import re
from typing import Final

CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han characters and both kana, as a range of a regular expression; hangul writes words with blanks between them."""

_TOKEN: Final = re.compile(rf"[{CJK}]|[^\W{CJK}]+(?:['’][^\W{CJK}]+)*|[^\w\s]")
_CJK: Final = re.compile(rf"[{CJK}]")
_WORD: Final = re.compile(rf"[^\W\d_{CJK}]+(?:['’][^\W\d_{CJK}]+)*")
_MARKS: Final = re.compile(r"[.!?;:,\n。！？；：，、…]+")

CJK_A_WORD: Final = 2
"""Characters of a word, nearly: most Chinese words have two."""


def tokens_of(text: str) -> list[str]:
    """Return words, marks and CJK characters, in lower case."""
    return _TOKEN.findall(text.lower())


def words_in(text: str) -> float:
    """Return how many words a text has; two CJK characters are one."""
    return len(_WORD.findall(text)) + len(_CJK.findall(text)) / CJK_A_WORD


def clauses_in(text: str) -> int:
    """Return how many clauses a text has, at least one: what stands between marks and ends of lines."""
    return sum(1 for piece in _MARKS.split(text) if piece.strip()) or 1
