"""Conversation -> sparse features: hashed words, alone and in twos and threes, and a few numbers.

A word is a run of letters and digits, told by its first five bytes, so that most of its forms and some of its typing
errors fall together; digits are all alike. A Chinese character is a word of its own, and so is each other mark.
All of it is a few passes over the capped window, of numpy where that is quicker. Knows nothing of weights or of
fitting.
"""

import hashlib
import math
import re
import struct
from collections.abc import Callable
from functools import cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from classifier.base import TURNS_SEEN, Prompt
from classifier.window import EARLIER_BYTES, EARLIER_TURNS, LAST_BYTES, SHORT, Window, window

VERSION = 3
BUCKETS = 2**15

NUMBERS = (
    "length",
    "length of other turns",
    "turns",
    "tools",
    "max_tokens",
    "words",
    "word length",
    "question marks",
    "lines",
    "commas",
    "full stops",
    "brackets",
    "numbers",
    "share of digits",
    "share of capitals",
    "share of Chinese",
    "share of code marks",
    "share of maths marks",
)

Bits = NDArray[np.uint64]
Places = NDArray[np.int64]
Reals = NDArray[np.float32]

_SPACE, _WORD, _INNER, _MARK, _CHINESE = range(5)
_ENDS, _BEGINS = 1, 2


def _kinds() -> bytes:
    """Return for each byte what it is in a text of UTF-8."""
    kinds = bytearray([_MARK] * 256)
    for kind, members in (
        (_SPACE, b" \t\n\r\v\f\0"),
        (_WORD, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"),
        (_INNER, bytes(range(0x80, 0xC0))),  # a character goes on
        (_WORD, bytes(range(0xC0, 0x100))),  # leads a character of another alphabet
        (_CHINESE, bytes(range(0xE3, 0xEA))),  # leads a CJK or kana character
    ):
        for byte in members:
            kinds[byte] = kind
    return bytes(kinds)


def _edges() -> NDArray[np.uint8]:
    """Return what happens between two bytes of these kinds: nothing, a word ends before a space, or one begins."""
    edges = np.zeros(256 * len((_SPACE, _WORD, _INNER, _MARK, _CHINESE)), np.uint8)
    for before in (_SPACE, _WORD, _INNER, _MARK, _CHINESE):
        edges[256 * _SPACE + before] = _ENDS
        edges[256 * _MARK + before] = edges[256 * _CHINESE + before] = _BEGINS
        if before != _WORD:
            edges[256 * _WORD + before] = _BEGINS
    return edges


def _counted() -> bytes:
    """Return for each byte the one that stands for its class where classes are counted."""
    table = bytearray(b" " * 256)
    for mark, members in (
        (b"A", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (b"0", b"0123456789"),
        (b"C", bytes(range(0xE3, 0xEA))),
        (b"{", b"{}[];_`#$\\|<>@"),
        (b"+", b"+-*/^%=~"),
        (b"(", b"()"),
    ):
        for byte in members:
            table[byte] = mark[0]
    return bytes(table)


_KINDS = _kinds()
_COUNTED = _counted()
_ALIKE = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789", b"abcdefghijklmnopqrstuvwxyz000000000")
_EDGES = _edges()
_TWO_BYTES, _EIGHT_BYTES = np.dtype("<u2"), np.dtype("<u8")
_TOLD_BY = 5  # bytes of a word
FEW_BYTES = 256  # of a window; up to about so many, one pass of an expression is quicker than a dozen of numpy
_WORD_OR_MARK = re.compile(
    rb"[a-z0\xc0-\xe2\xea-\xff]+[\x80-\xbf]*"  # letters and digits, as `_ALIKE` writes them
    rb"|[^ \t\n\r\v\f\0\x80-\xbf][\x80-\xbf]*"  # any other character
)
_MASKS = np.array([(1 << 8 * min(size, _TOLD_BY)) - 1 for size in range(9)], np.uint64)
# An odd constant for mixing and one for each kind, so that words, twos and threes fall into different buckets:
# the first 64 bits of the fractional parts of the golden ratio and of the roots of 2, 3 and 5.
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SALT_WORD, _SALT_TWO = np.uint64(0x6A09E667F3BCC908), np.uint64(0xBB67AE8584CAA73B)
_SALT_THREE = np.uint64(0x3C6EF372FE94F82B)
_FOLD = np.uint64(31)
_SHIFT = np.uint64(64 - BUCKETS.bit_length() + 1)
_NUMBER_COLUMNS = np.arange(BUCKETS, BUCKETS + len(NUMBERS))
_NOTHING = np.empty(0, np.int64)


class Features(Struct, frozen=True, eq=False, gc=False):
    """One prompt's features, as few numpy passes as a score needs; what fitting needs more is worked out when asked.

    Attributes:
        hashed: columns of `names()` below `BUCKETS`, words first, then twos, then threes; one may occur more than
            once, its values then add up.
        runs: (size, value) of the stretches of `hashed` that share one value, in order.
        numbers: in the order of `NUMBERS`.
        text: the window that the words came from.
    """

    hashed: Places
    runs: tuple[tuple[int, float], ...]
    numbers: tuple[float, ...]
    text: bytes

    @property
    def indices(self) -> Places:
        """Return all columns, shape (n,); the last `len(NUMBERS)` are the numbers, in order."""
        return np.concatenate((self.hashed, _NUMBER_COLUMNS))

    @property
    def values(self) -> Reals:
        """Return the value of each of `indices`."""
        sizes, scales = zip(*self.runs, strict=True)
        return np.concatenate((np.array(scales, np.float32).repeat(sizes), np.array(self.numbers, np.float32)))

    def texts(self) -> tuple[str, ...]:
        """Return for each entry of `indices` the text, in quotes, or the number's name."""
        places, sizes = _words(self.text)
        begins, ends = places.tolist(), (places + sizes).tolist()
        spans = list(zip(begins, ends, strict=True))
        spans += zip(begins[:-1], ends[1:], strict=True)
        spans += zip(begins[:-2], ends[2:], strict=True)
        return tuple(f'"{self.text[start:end].decode("utf-8", "ignore")}"' for start, end in spans) + NUMBERS


def names() -> tuple[str, ...]:
    """Return the columns' names, hash buckets first."""
    return (*(f"ngram:{bucket}" for bucket in range(BUCKETS)), *NUMBERS)


def digest() -> str:
    """Return a fingerprint of columns and caps: weights fitted under another one cannot be used."""
    caps = (VERSION, LAST_BYTES, EARLIER_BYTES, EARLIER_TURNS, TURNS_SEEN, SHORT, _TOLD_BY)
    return hashlib.sha256("\n".join((str(caps), *names())).encode()).hexdigest()


def featurise(prompt: Prompt) -> Features:
    """Return the features of the conversation as a whole; never raises, whatever the text."""
    seen = window(prompt)
    alike = seen.text.translate(_ALIKE)
    words, own = (_few if len(alike) <= FEW_BYTES else _many)(alike, seen.split)
    return Features(
        hashed=_hashed(words) if len(words) else _NOTHING,
        runs=_runs(len(words), own, seen.earlier),
        numbers=_numbers(prompt, seen, words=own, other_words=len(words) - own),
        text=seen.text,
    )


def _few(text: bytes, split: int) -> tuple[Bits, int]:
    """Return the first bytes of each word, and how many words stand before `split`; for texts of few bytes."""
    found = _WORD_OR_MARK.findall(text, 0, split)
    own = len(found)
    if split < len(text):
        found += _WORD_OR_MARK.findall(text, split)
    return np.frombuffer(_packing(len(found))(*found), np.uint64), own


def _many(text: bytes, split: int) -> tuple[Bits, int]:
    """Return the same for a text of any length."""
    begins, sizes = _words(text)
    eights = np.ndarray((len(text),), _EIGHT_BYTES, text + bytes(7), 0, (1,))
    words: Bits = eights[begins] & _MASKS[np.minimum(sizes, _TOLD_BY)]
    return words, int(begins.searchsorted(split)) if split < len(text) else len(words)


@cache
def _packing(words: int) -> Callable[..., bytes]:
    """Return what writes so many words as eight bytes each, the first few of them; there are at most `FEW_BYTES`."""
    return struct.Struct("<" + f"{_TOLD_BY}s{8 - _TOLD_BY}x" * words).pack


def _words(text: bytes) -> tuple[Places, Places]:
    """Return where each word begins and how many bytes it has; the text begins and ends with a space."""
    twos = np.ndarray((len(text) - 1,), _TWO_BYTES, text.translate(_KINDS), 0, (1,))  # each byte and the one before
    found = _EDGES[twos]  # `take` would give up the interpreter's lock
    edges = found.nonzero()[0]
    is_word = found[edges] == _BEGINS
    sizes: Places = (edges[1:] - edges[:-1])[is_word[:-1]]
    return edges[is_word] + 1, sizes


def _hashed(words: Bits) -> Places:
    """Return the columns of words, of twos and of threes; shape (n + n - 1 + n - 2,), where there are as many."""
    n = len(words)
    columns: Bits = np.empty(n + max(n - 1, 0) + max(n - 2, 0), np.uint64)
    np.bitwise_xor(words, _SALT_WORD, columns[:n])
    if n > 1:
        twos = columns[n : 2 * n - 1]
        np.multiply(words[:-1], _SALT_TWO, twos)
        twos ^= words[1:]
        threes = columns[2 * n - 1 :]
        np.multiply(twos[:-1], _SALT_THREE, threes)
        threes ^= words[2:]
    columns ^= columns >> _FOLD
    columns *= _MIX
    columns >>= _SHIFT
    return columns.view(np.int64)


def _runs(words: int, own: int, earlier: float) -> tuple[tuple[int, float], ...]:
    """Return size and value of what shares a value, in the order of `_hashed`.

    Together they are a vector of 1 for what the last turn holds and `earlier` for the rest, over its length: a short
    text says as much as a long one.
    """
    if own == words:
        columns = max(3 * words - 3, words, 1)
        return ((max(3 * words - 3, words), 1 / math.sqrt(columns)),)
    sizes = [(max(own - less, 0), max(words - less, 0)) for less in range(3)]
    mass = sum([mine + earlier * earlier * (both - mine) for mine, both in sizes])
    value = 1 / math.sqrt(max(mass, 1.0))
    return tuple([run for mine, both in sizes for run in ((mine, value), (both - mine, value * earlier))])


def _numbers(prompt: Prompt, seen: Window, *, words: int, other_words: int) -> tuple[float, ...]:
    """Return the numbers in the order of `NUMBERS`, scaled to spread over about one unit.

    Args:
        prompt: for its turns, tools and limit.
        seen: what is looked at of it; what earlier turns hold counts as much as `seen.earlier`.
        words: of the last turn, and of the others.
    """
    others = sum([len(turn.text) for turn in prompt.turns[-TURNS_SEEN:]]) - seen.length
    earlier = seen.earlier
    counts: list[float] = _counts(seen.text[: seen.split])
    total: float = words
    if other_words:
        more = _counts(seen.text[seen.split :])
        counts = [one + earlier * other for one, other in zip(counts, more, strict=True)]
        total += earlier * other_words
    mass, marks, commas, stops, numbers, digits, capitals, chinese, code, maths, brackets = counts
    log1p, sqrt = math.log1p, math.sqrt
    return (
        log1p(seen.length + earlier * others) / 4,
        log1p(others) / 4,
        math.log(len(prompt.turns) or 1),
        log1p(_bounded(prompt.tools)),
        log1p(_bounded(prompt.max_tokens or 0)) / 4,
        log1p(total) / 4,
        mass / (total + 1) / 8,
        log1p(marks),
        log1p(seen.lines),
        log1p(commas),
        log1p(stops),
        log1p(brackets),
        log1p(numbers),
        sqrt(digits / mass),
        sqrt(capitals / mass),
        sqrt(min(1.0, 3 * chinese / mass)),
        sqrt(code / mass),
        sqrt(maths / mass),
    )


def _counts(text: bytes) -> list[float]:
    """Return bytes and marks, numbers and classes of characters of one part of the window, as `_numbers` takes them.

    Calls of `bytes.count` and none of numpy: for some hundred bytes they are several times as fast.
    """
    classes = text.translate(_COUNTED)
    count = text.count
    return [
        len(text),
        count(b"?"),
        count(b",") + count("、".encode()),
        count(b".") + count("。".encode()),
        classes.count(b" 0") + classes.count(b"A0"),
        *[classes.count(kind) for kind in (b"0", b"A", b"C", b"{", b"+", b"(")],
    ]


def _bounded(count: int) -> int:
    """Return the count where logarithms can take it: a caller may send any integer."""
    return min(max(count, 0), 10**9)
