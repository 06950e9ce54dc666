"""Lists of words of both languages -> tables to look them up in.

Made once, at the first use. Phrases are tuples of tokens; an English one is found by its first word, a Chinese one is a
single token, because cutting knows all of them.
"""

from functools import cache
from typing import Final

from msgspec import Struct

from classifier.meaning import chinese, english

NOTHING: Final = ""
"""The kind of what may stand before a question without changing it."""


_INFLECTED: Final = 3  # letters of the shortest word that is


class Phrases:
    """Phrases by their first word, longest first."""

    def __init__(self, found: dict[tuple[str, ...], str]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for phrase, means in sorted(found.items(), key=lambda item: -len(item[0])):
            self._by_first.setdefault(phrase[0], []).append((phrase, means))

    def at(self, words: list[str], place: int) -> tuple[int, str] | None:
        """Return how many words the longest phrase here has, and what it means; None where there is none."""
        for phrase, means in self._by_first.get(words[place], ()):
            if words[place : place + len(phrase)] == list(phrase):
                return len(phrase), means
        return None


class Lexicon(Struct, frozen=True):
    """What is known of words.

    Attributes:
        openings: what stands before a question, to the kind of answer that it asks for.
        endings: what may stand behind one.
        same: phrases to the one that stands for them.
        asked: words that ask, to their kind.
        fillers, hard: left out; must be equal.
        hard_parts: Chinese characters that make a word hard, save those of `lexical`.
        cut: all Chinese words of the lists.
    """

    openings: Phrases
    endings: frozenset[tuple[str, ...]]
    same: Phrases
    asked: Phrases
    whether: frozenset[str]
    fillers: frozenset[str]
    hard: frozenset[str]
    hard_parts: frozenset[str]
    lexical: frozenset[str]
    cut: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """Return the lists of this version."""
    openings = dict.fromkeys(_phrases(english.NOTHING), NOTHING) | dict.fromkeys(_chinese(chinese.NOTHING), NOTHING)
    for kind, listed in english.KINDS.items():
        openings |= dict.fromkeys(_phrases(listed), kind)
    for kind, listed in chinese.KINDS.items():
        openings |= dict.fromkeys(_chinese(listed), kind)
    # "please" alone asks for nothing; only what it is put before does.
    openings |= dict.fromkeys(_phrases("please"), NOTHING)
    asked = {phrase: " ".join(phrase) for phrase in _phrases(english.ASKED)}
    for kind, listed in chinese.ASKED.items():
        asked |= dict.fromkeys(_chinese(listed), kind)
    for manner, listed in english.MANNERS.items():
        asked |= {(word,): manner for word in listed.split()}
    hard = {*english.HARD.split(), *chinese.HARD.split()} - {*english.FILLERS.split()}
    cut = {
        word
        for listed in (
            chinese.NOTHING,
            chinese.ENDS,
            chinese.FILLERS,
            chinese.HARD,
            *chinese.KINDS.values(),
            *chinese.ASKED.values(),
            chinese.SYNONYMS.replace("|", " "),
            " ".join(chinese.LEXICAL),
        )
        for word in listed.split()
    }
    return Lexicon(
        openings=Phrases(openings),
        endings=frozenset((*_phrases(english.ENDS), *_chinese(chinese.ENDS))),
        same=Phrases(_synonyms()),
        asked=Phrases(asked),
        whether=frozenset(english.WHETHER.split()),
        fillers=frozenset((*english.FILLERS.split(), *chinese.FILLERS.split())),
        hard=frozenset(hard),
        hard_parts=frozenset(chinese.HARD_PARTS),
        lexical=chinese.LEXICAL,
        cut=frozenset(word for word in cut if not word.isascii()),
    )


def _synonyms() -> dict[tuple[str, ...], str]:
    """Return phrases to what stands for them; words of one line are inflected alike."""
    same: dict[tuple[str, ...], str] = {}
    for line in (*english.SYNONYMS.splitlines(), *chinese.SYNONYMS.splitlines()):
        first, *others = _phrases(line)
        name = " ".join(first)
        for phrase in (first, *others):
            same[phrase] = name
            (word, *more) = phrase
            if not more and len(first) == 1 and word.isascii() and word.isalpha() and len(word) >= _INFLECTED:
                same.setdefault((f"{word}es" if word.endswith(("s", "sh", "ch", "x")) else f"{word}s",), name)
                stem = word.removesuffix("e")
                same.setdefault((f"{stem}ed",), f"{name} ed")
                same.setdefault((f"{stem}ing",), f"{name} ing")
    return same


def _phrases(listed: str) -> list[tuple[str, ...]]:
    """Return the phrases of lists that are parted by bars and line ends."""
    return [tuple(phrase.split()) for line in listed.splitlines() for phrase in line.split("|") if phrase.strip()]


def _chinese(listed: str) -> list[tuple[str, ...]]:
    return [(word,) for word in listed.split()]
