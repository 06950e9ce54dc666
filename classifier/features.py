"""Conversation -> sparse features: hashed n-grams and words, and a few numbers.

The n-grams are runs of 3 and of 6 bytes that begin where a character does: in Chinese one character and two.
Words are told by their first eight bytes, single and in pairs. All of it is a few passes of numpy over the
capped window. Knows nothing of weights or of fitting.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.base import Prompt
from classifier.window import EARLIER_BYTES, EARLIER_TURNS, LAST_BYTES, SHORT, TURNS_SEEN, Window, window

VERSION = 1
BUCKETS = 2**15

NUMBERS = (
    "length",
    "length of other turns",
    "turns",
    "tools",
    "max_tokens",
    "question marks",
    "lines",
    "numbers",
    "word length",
    "share of digits",
    "share of Chinese",
    "share of code marks",
    "share of maths marks",
)

Bits = NDArray[np.uint64]
Places = NDArray[np.int64]
Reals = NDArray[np.float32]
Classes = NDArray[np.uint8]

_LOWER, _CAPITAL, _DIGIT, _INNER, _CHINESE, _CODE, _MATHS, _OTHER = range(8)


def _classes() -> bytes:
    table = bytearray([_OTHER] * 256)
    for kind, members in (
        (_LOWER, b"abcdefghijklmnopqrstuvwxyz"),
        (_CAPITAL, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (_DIGIT, b"0123456789"),
        (_INNER, bytes(range(0x80, 0xC0))),  # a UTF-8 character goes on
        (_CHINESE, bytes(range(0xE3, 0xEA))),  # leads a CJK or kana character
        (_CODE, b"{}[]();_`#$\\|<>@"),
        (_MATHS, b"+-*/^%=~"),
    ):
        for byte in members:
            table[byte] = kind
    return bytes(table)


_CLASSES = _classes()
_SHORT_GRAM, _LONG_GRAM = 3, 6  # bytes: one and two Chinese characters
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
_SHORT_MASK, _LONG_MASK = _MASKS[_SHORT_GRAM], _MASKS[_LONG_GRAM]
# An odd constant for mixing and a salt a kind, so that equal bytes of two kinds fall into different buckets:
# the first 64 bits of the fractional parts of the golden ratio and of the roots of 2, 3 and 5.
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SALT_LONG, _SALT_WORD = np.uint64(0x6A09E667F3BCC908), np.uint64(0xBB67AE8584CAA73B)
_SALT_PAIR = np.uint64(0x3C6EF372FE94F82B)
_FOLD = np.uint64(31)
_SHIFT = np.uint64(64 - BUCKETS.bit_length() + 1)
_NUMBER_COLUMNS = np.arange(BUCKETS, BUCKETS + len(NUMBERS))
_QUESTION, _WIDE_QUESTION = b"?", "？".encode()


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One prompt's features; an index may occur more than once, its values then add up.

    Attributes:
        indices: shape (n,), int64, columns of `names()`; the last `len(NUMBERS)` are the numbers, in order.
        values: shape (n,), float32.
        text: the lower-cased window that the n-grams came from.
        starts: where the n-grams of one size begin in `text`; those of 3 bytes come first, those of 6 next.
        begins, ends: of the words; single words come third, pairs of neighbours fourth.
    """

    indices: Places
    values: Reals
    text: bytes
    starts: Places
    begins: Places
    ends: Places

    def texts(self) -> tuple[str, ...]:
        """Return for each entry of `indices` the text, in quotes, or the number's name."""
        begins, ends = self.begins.tolist(), self.ends.tolist()
        spans = [(start, start + size) for size in (_SHORT_GRAM, _LONG_GRAM) for start in self.starts.tolist()]
        spans += zip(begins, ends, strict=True)
        spans += zip(begins[:-1], ends[1:], strict=True)
        return tuple(f'"{self.text[start:end].decode("utf-8", "ignore")}"' for start, end in spans) + NUMBERS


def names() -> tuple[str, ...]:
    """Return the columns' names, hash buckets first."""
    return (*(f"ngram:{bucket}" for bucket in range(BUCKETS)), *NUMBERS)


def digest() -> str:
    """Return a fingerprint of columns and caps: weights fitted under another one cannot be used."""
    caps = (VERSION, LAST_BYTES, EARLIER_BYTES, EARLIER_TURNS, TURNS_SEEN, SHORT, _SHORT_GRAM, _LONG_GRAM)
    return hashlib.sha256("\n".join((str(caps), *names())).encode()).hexdigest()


def featurise(prompt: Prompt) -> Features:
    """Return the features of the conversation as a whole; never raises, whatever the text."""
    seen = window(prompt)
    size = len(seen.text)
    lower = seen.text.lower()
    classes = np.frombuffer(seen.text.translate(_CLASSES), np.uint8)
    # Eight bytes from each place on, as one number each: n-grams of any size are masks of it.
    eights: Bits = np.ndarray((size,), "<u8", lower + bytes(7), 0, (1,)).astype(np.uint64)
    if seen.text.isascii():
        starts, grams = np.arange(size - 1), eights[:-1]  # nothing begins at the closing space
    else:
        starts = (classes[:-1] != _INNER).nonzero()[0]
        grams = eights[starts]
    in_word = classes <= _DIGIT
    edges = (in_word[1:] != in_word[:-1]).nonzero()[0] + 1  # a space stands at both ends, so edges come in twos
    begins, ends = edges[::2], edges[1::2]
    words = eights[begins] & _MASKS[np.minimum(ends - begins, 8)]

    own_starts, own_words = int(starts.searchsorted(seen.split)), int(begins.searchsorted(seen.split))
    values = _weights(len(starts), own_starts, len(words), own_words, seen.earlier)
    values[-len(NUMBERS) :] = _numbers(prompt, seen, classes, begins, own_words)
    return Features(_columns(grams, words), values, lower, starts, begins, ends)


def _columns(grams: Bits, words: Bits) -> Places:
    """Return the columns of short n-grams, long ones, words, pairs of words and numbers, one kind after the other."""
    n = len(grams)
    m = 2 * n + len(words)
    columns: Bits = np.empty(m + max(len(words) - 1, 0) + len(NUMBERS), np.uint64)
    np.bitwise_and(grams, _SHORT_MASK, columns[:n])
    long, pairs = columns[n : 2 * n], columns[m : -len(NUMBERS)]
    np.bitwise_and(grams, _LONG_MASK, long)
    long ^= _SALT_LONG
    np.bitwise_xor(words, _SALT_WORD, columns[2 * n : m])
    np.multiply(words[:-1], _SALT_PAIR, pairs)
    pairs ^= words[1:]
    columns ^= columns >> _FOLD
    columns *= _MIX
    columns >>= _SHIFT
    columns[-len(NUMBERS) :] = _NUMBER_COLUMNS
    return columns.view(np.int64)


def _weights(grams: int, own_grams: int, words: int, own_words: int, earlier: float) -> Reals:
    """Return the values in the order of `_columns`, with room for the numbers.

    Each kind is a vector of 1 for what the last turn holds and `earlier` for the rest, over its length, which counts
    as at least 1: where the last turn has none of a kind, as Chinese has no words, the others stay small.
    """
    gram = 1 / math.sqrt(max(own_grams + earlier * earlier * (grams - own_grams), 1.0))
    word = 1 / math.sqrt(max(own_words + earlier * earlier * (words - own_words), 1.0))
    pairs = max(words - 1, 0)
    own_pairs = min(own_words, pairs)
    sizes = [own_grams, grams - own_grams] * 2 + [
        own_words,
        words - own_words,
        own_pairs,
        pairs - own_pairs,
        len(NUMBERS),
    ]
    scales = [gram, gram * earlier] * 2 + [word, word * earlier] * 2 + [0.0]
    return np.array(scales, np.float32).repeat(sizes)


def _numbers(prompt: Prompt, seen: Window, classes: Classes, begins: Places, own: int) -> tuple[float, ...]:
    """Return the numbers in the order of `NUMBERS`, scaled to spread over about one unit.

    Args:
        prompt: for its turns, tools and limit.
        seen: what is looked at of it.
        classes: of each byte seen.
        begins: of each word seen.
        own: how many of the words are the last user turn's.
    """
    others = sum([len(turn.text) for turn in prompt.turns[-TURNS_SEEN:]]) - seen.length
    text, split = seen.text, seen.split
    counts: list[float] = np.bincount(classes[:split], minlength=8).tolist()
    firsts: list[float] = np.bincount(classes[begins[:own]], minlength=3).tolist()
    marks: float = text.count(_QUESTION, 0, split) + text.count(_WIDE_QUESTION, 0, split)
    if len(text) > split:
        counts = _added(counts, np.bincount(classes[split:], minlength=8).tolist(), seen.earlier)
        firsts = _added(firsts, np.bincount(classes[begins[own:]], minlength=3).tolist(), seen.earlier)
        marks += seen.earlier * (text.count(_QUESTION, split) + text.count(_WIDE_QUESTION, split))
    mass, words = sum(counts), sum(firsts) + 1
    return (
        math.log1p(seen.length + seen.earlier * others) / 4,
        math.log1p(others) / 4,
        math.log(len(prompt.turns) or 1),
        math.log1p(_bounded(prompt.tools)),
        math.log1p(_bounded(prompt.max_tokens or 0)) / 4,
        math.log1p(marks),
        math.log1p(seen.lines),
        math.log1p(firsts[_DIGIT]),
        (counts[_LOWER] + counts[_CAPITAL] + counts[_DIGIT]) / words / 8,
        math.sqrt(counts[_DIGIT] / mass),
        math.sqrt(min(1.0, 3 * counts[_CHINESE] / mass)),
        math.sqrt(counts[_CODE] / mass),
        math.sqrt(counts[_MATHS] / mass),
    )


def _added(own: list[float], others: list[float], weight: float) -> list[float]:
    return [one + weight * other for one, other in zip(own, others, strict=True)]


def _bounded(count: int) -> int:
    """Return the count where logarithms can take it: a caller may send any integer."""
    return min(max(count, 0), 10**9)
