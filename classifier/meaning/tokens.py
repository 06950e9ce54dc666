"""Text -> tokens: words, numbers, codes, quotes and marks, in order.

Cuts alone: what a token means is told in `guards.py`. Two texts of the same tokens differ in nothing but white space,
invisible characters, width and the marks that end a sentence.
"""

import re
import unicodedata
from enum import Enum, auto
from typing import Final, NamedTuple

from classifier.meaning.english import CONTRACTED, SUFFIXED, WITH_IS


class Kind(Enum):
    """What a token is."""

    WORD = auto()  # of letters; lower case
    HAN = auto()  # Chinese characters in a row, not cut yet
    EXACT = auto()  # a number, a code, a quote, a sign: must be there as it is
    BREAK = auto()  # ends a sentence or a part of one


class Token(NamedTuple):
    """One piece of a text.

    Attributes:
        named: a word that is written like a name, within a sentence.
    """

    kind: Kind
    text: str
    named: bool = False


_TOKEN: Final = re.compile(
    r"""
    (?P<quote>"[^"\n]{1,120}"|“[^”\n]{1,120}”|「[^」\n]{1,120}」|『[^』\n]{1,120}』|《[^》\n]{1,120}》|`[^`\n]{1,120}`)
  | (?P<code>[A-Za-z]+://\S+
           |[A-Za-z0-9_.+-]*[@_/\\#$][A-Za-z0-9_.+/\\@#$-]*[A-Za-z0-9_]
           |[A-Za-z]+\d[\w-]*|\d+[A-Za-z][\w-]*
           |[A-Za-z]\w*(?:\.\w+)+|[A-Za-z]\+\+|[A-Za-z]\#)
  | (?P<number>(?:(?<![\w)])[+\-−])?\d+(?:[.,:/\-]\d+)*!?)
  | (?P<han>[\u3400-\u4dbf\u4e00-\u9fff]+)
  | (?P<word>[^\W\d_\u3400-\u4dbf\u4e00-\u9fff]+(?:['’][^\W\d_\u3400-\u4dbf\u4e00-\u9fff]+)*)
  | (?P<break>(?:[.,?;:…。，！？；：、\n]|!(?![=\w]))+)
  | (?P<sign>[^\s])
    """,
    re.VERBOSE,
)
_BRACKETS: Final = frozenset("()[]{}（）【】")
_IDLE: Final = frozenset("\"'`´‘’“”-–—·•*_~#>")
"""Signs that set off or decorate; a hyphen counts only behind a number."""
_RECKONING: Final = frozenset("+*/=^<>%&|×÷−√∑∫≤≥≠")
_INVISIBLE: Final = dict.fromkeys(
    (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
)
_WIDE: Final = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_FOLDED: Final = _INVISIBLE | _WIDE
_EXPANDED: Final = {short: tuple(long.split()) for short, long in CONTRACTED.items()}


def tokens_of(text: str) -> list[Token]:
    """Return the tokens; English contractions are spelt out."""
    plain = unicodedata.normalize("NFC", text.translate(_FOLDED)) if not text.isascii() else text
    reckons = not _RECKONING.isdisjoint(plain)
    found: list[Token] = []
    begins = True  # a sentence does
    for match in _TOKEN.finditer(plain):
        kind, piece = match.lastgroup, match.group()
        if kind == "word":
            _add_word(found, piece, begins=begins)
        elif kind == "han":
            found.append(Token(Kind.HAN, piece))
        elif kind == "break":
            found.append(Token(Kind.BREAK, piece[0]))
            begins = begins or piece[0] not in ",，、"
            continue
        elif kind == "sign":
            if not _counts(piece, found, reckons=reckons):
                continue
            found.append(Token(Kind.EXACT, piece))
        else:
            found.append(Token(Kind.EXACT, piece if kind == "quote" else piece.lower()))
        begins = False
    return found


def _add_word(found: list[Token], piece: str, *, begins: bool) -> None:
    low = piece.lower().replace("’", "'")
    named = not begins and piece[0] != low[0] and piece not in ("I", "I'm", "I'd", "I'll", "I've")
    long = _EXPANDED.get(low)
    if long is not None:
        found += [Token(Kind.WORD, part) for part in long]
        return
    stem, tick, end = low.rpartition("'")
    if tick:
        if low.endswith("n't"):
            stem, extra = low[:-3], "not"
        elif end == "s":
            extra = "is" if stem in WITH_IS else ""
        else:
            extra = SUFFIXED.get(f"'{end}", "")
            stem = stem if extra else low
        found.append(Token(Kind.WORD, stem, named))
        if extra:
            found.append(Token(Kind.WORD, extra))
        return
    found.append(Token(Kind.WORD, low, named))


def _counts(sign: str, found: list[Token], *, reckons: bool) -> bool:
    """Tell whether a sign can change what is asked."""
    if sign in _BRACKETS:
        return reckons
    if sign in _IDLE:
        behind_number = bool(found) and found[-1].kind is Kind.EXACT and found[-1].text[-1:].isdigit()
        return (reckons and sign in "*>") or (sign in "-–—*" and behind_number)
    return True
