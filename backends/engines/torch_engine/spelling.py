"""Token ids one by one -> text that never ends inside a character, and stop texts that are never shown.

A token may be part of a character, so text comes out once a character is whole; what may yet turn out to be a stop text
is held back likewise. Knows no tokenizer, only what its ids stand for.
"""

import codecs
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, Protocol

_BEFORE: Final = 6
"""Ids of the prompt that are decoded with the first ones of the answer, since some tokenizers drop a leading space."""

_UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"


class Speller(Protocol):
    """Spells one answer."""

    def push(self, token: int) -> str:
        """Return the text that this token makes whole; often "" within a character."""
        ...

    def flush(self) -> str:
        """Return what is left at the end, with a replacement character for what is no character."""
        ...


class BytePieces:
    """For tokenizers whose tokens are bytes: nothing is decoded twice."""

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """Return the text that this token makes whole."""
        return self._decoder.decode(self._piece(token))

    def flush(self) -> str:
        """Return what is left."""
        return self._decoder.decode(b"", final=True)


class DecodedPieces:
    """For any other: the text of a few ids with the new one, less their text without it."""

    def __init__(self, decode: Callable[[Sequence[int]], str], before: Sequence[int]) -> None:
        self._decode = decode
        self._ids = list(before[-_BEFORE:])
        self._shown = len(self._ids)

    def push(self, token: int) -> str:
        """Return the text that this token makes whole."""
        self._ids.append(token)
        text = self._fresh()
        if not text or text.endswith(_UNKNOWN):
            return ""
        self._ids = self._ids[self._shown :]  # the last ids that were shown stand before the next ones
        self._shown = len(self._ids)
        return text

    def flush(self) -> str:
        """Return what is left."""
        text, self._ids, self._shown = self._fresh(), [], 0
        return text

    def _fresh(self) -> str:
        return self._decode(self._ids)[len(self._decode(self._ids[: self._shown])) :]


class Text:
    """The text of one answer, up to the first stop text.

    Attributes:
        stopped: whether one was found; nothing comes out after it.
    """

    def __init__(self, speller: Speller, stops: Sequence[str]) -> None:
        self._speller, self._stops = speller, stops
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Return text that may be shown."""
        return self._pass(self._speller.push(token))

    def flush(self) -> str:
        """Return what is left at the end."""
        text = self._pass(self._speller.flush())
        text, self._held = text + self._held, ""
        return text

    def _pass(self, text: str) -> str:
        if not self._stops:
            return text
        if self.stopped:
            return ""
        text = self._held + text
        found = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=-1)
        if found >= 0:
            self.stopped, self._held = True, ""
            return text[:found]
        held = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Return how many last characters of the text begin the stop text."""
    longest = min(len(text), len(stop) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)


def byte_of_symbol(symbols: str) -> bytes:
    """Return the bytes that a byte-level BPE's token is written for; each byte has a printable character of its own.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
    """
    known = _bytes_by_symbol()
    if all(symbol in known for symbol in symbols):
        return bytes(known[symbol] for symbol in symbols)
    return symbols.encode("utf-8", "replace")  # a token that was added as it stands


@cache
def _bytes_by_symbol() -> dict[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + at): byte for at, byte in enumerate(others)}
