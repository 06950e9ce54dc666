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
_IN_WORD = bytes(kind <= _DIGIT for kind in _CLASSES)
_NUMBER_OR_WORD = bytes(b"aa0"[kind] if kind <= _DIGIT else b" "[0] for kind in _CLASSES)
_EIGHT_BYTES = np.dtype("<u8")
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
    """One prompt's features, as few numpy passes as a score needs; what fitting needs more is worked out when asked.

    Attributes:
        hashed: columns of `names()` below `BUCKETS`; one may occur more than once, its values then add up.
        runs: (size, value) of the stretches of `hashed` that share one value, in order.
        numbers: in the order of `NUMBERS`.
        text: the lower-cased window that the n-grams came from.
        begins, ends: of the words in it; single words come third, pairs of neighbours fourth.
    """

    hashed: Places
    runs: tuple[tuple[int, float], ...]
    numbers: tuple[float, ...]
    text: bytes
    begins: Places
    ends: Places

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
        begins, ends = self.begins.tolist(), self.ends.tolist()
        starts = _starts(self.text.translate(_CLASSES)).tolist()
        spans = [(start, start + size) for size in (_SHORT_GRAM, _LONG_GRAM) for start in starts]
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
    text, split = seen.text, seen.split
    lower, classes = text.lower(), text.translate(_CLASSES)
    # Eight bytes from each place on, as one number each: n-grams of any size are masks of it.
    eights: Bits = np.ndarray((len(text),), _EIGHT_BYTES, lower + bytes(7), 0, (1,)).astype(np.uint64)
    if text.isascii():
        grams, own_grams = eights[:-1], min(split, len(text) - 1)  # nothing begins at the closing space
    else:
        starts = _starts(classes)
        grams, own_grams = eights[starts], int(starts.searchsorted(split))
    in_word = np.frombuffer(text.translate(_IN_WORD), np.bool_)
    edges = (in_word[1:] != in_word[:-1]).nonzero()[0] + 1  # a space stands at both ends, so edges come in twos
    begins, ends = edges[::2], edges[1::2]
    words = eights[begins] & _MASKS[np.minimum(ends - begins, 8)]
    own_words = int(begins.searchsorted(split)) if split < len(text) else len(words)
    return Features(
        hashed=_hashed(grams, words),
        runs=_runs(len(grams), own_grams, len(words), own_words, seen.earlier),
        numbers=_numbers(prompt, seen, classes, words=own_words + seen.earlier * (len(words) - own_words)),
        text=lower,
        begins=begins,
        ends=ends,
    )


def _starts(classes: bytes) -> Places:
    """Return where a character begins, the closing space aside."""
    starts: Places = (np.frombuffer(classes, np.uint8)[:-1] != _INNER).nonzero()[0]
    return starts


def _hashed(grams: Bits, words: Bits) -> Places:
    """Return the columns of short n-grams, long ones, words and pairs of words, one kind after the other."""
    n = len(grams)
    m = 2 * n + len(words)
    columns: Bits = np.empty(m + max(len(words) - 1, 0), np.uint64)
    np.bitwise_and(grams, _SHORT_MASK, columns[:n])
    long, pairs = columns[n : 2 * n], columns[m:]
    np.bitwise_and(grams, _LONG_MASK, long)
    long ^= _SALT_LONG
    np.bitwise_xor(words, _SALT_WORD, columns[2 * n : m])
    np.multiply(words[:-1], _SALT_PAIR, pairs)
    pairs ^= words[1:]
    columns ^= columns >> _FOLD
    columns *= _MIX
    columns >>= _SHIFT
    return columns.view(np.int64)


def _runs(grams: int, own_grams: int, words: int, own_words: int, earlier: float) -> tuple[tuple[int, float], ...]:
    """Return size and value of what shares a value, in the order of `_hashed`.

    Each kind is a vector of 1 for what the last turn holds and `earlier` for the rest, over its length, which counts
    as at least 1: where the last turn has none of a kind, as Chinese has no words, the others stay small.
    """
    gram = 1 / math.sqrt(max(own_grams + earlier * earlier * (grams - own_grams), 1.0))
    word = 1 / math.sqrt(max(own_words + earlier * earlier * (words - own_words), 1.0))
    pairs = max(words - 1, 0)
    own_pairs = min(own_words, pairs)
    of_grams = ((own_grams, gram), (grams - own_grams, gram * earlier))
    return (
        *of_grams,
        *of_grams,
        (own_words, word),
        (words - own_words, word * earlier),
        (own_pairs, word),
        (pairs - own_pairs, word * earlier),
    )


def _numbers(prompt: Prompt, seen: Window, classes: bytes, *, words: float) -> tuple[float, ...]:
    """Return the numbers in the order of `NUMBERS`, scaled to spread over about one unit.

    Args:
        prompt: for its turns, tools and limit.
        seen: what is looked at of it.
        classes: of each byte seen.
        words: how many are seen; one of the earlier turns counts as much as `seen.earlier`.
    """
    others = sum([len(turn.text) for turn in prompt.turns[-TURNS_SEEN:]]) - seen.length
    earlier = seen.earlier
    counts: list[float] = _counts(seen.text[: seen.split], classes[: seen.split])
    if len(classes) > seen.split:
        more = _counts(seen.text[seen.split :], classes[seen.split :])
        counts = [one + earlier * other for one, other in zip(counts, more, strict=True)]
    mass, marks, numbers, letters, digits, chinese, code, maths = counts
    return (
        math.log1p(seen.length + earlier * others) / 4,
        math.log1p(others) / 4,
        math.log(len(prompt.turns) or 1),
        math.log1p(_bounded(prompt.tools)),
        math.log1p(_bounded(prompt.max_tokens or 0)) / 4,
        math.log1p(marks),
        math.log1p(seen.lines),
        math.log1p(numbers),
        (letters + digits) / (words + 1) / 8,
        math.sqrt(digits / mass),
        math.sqrt(min(1.0, 3 * chinese / mass)),
        math.sqrt(code / mass),
        math.sqrt(maths / mass),
    )


def _counts(text: bytes, classes: bytes) -> list[float]:
    """Return bytes, question marks, numbers, letters, digits, Chinese, code and maths in one part of the window.

    Calls of `bytes.count` and none of numpy: for some hundred bytes they are several times as fast.
    """
    return [
        len(text),
        text.count(_QUESTION) + text.count(_WIDE_QUESTION),
        (b" " + text.translate(_NUMBER_OR_WORD)).count(b" 0"),
        classes.count(_LOWER) + classes.count(_CAPITAL),
        *[classes.count(kind) for kind in (_DIGIT, _CHINESE, _CODE, _MATHS)],
    ]


def _bounded(count: int) -> int:
    """Return the count where logarithms can take it: a caller may send any integer."""
    return min(max(count, 0), 10**9)
