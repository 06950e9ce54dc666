"""Text -> what another text must have to mean the same, and the words that it may replace.

Must be equal, in the same order: what stands for not, numbers, units, dates, names, codes, quotes, signs, comparatives,
opposites and every word that is not known; and, in any order, what kind of answer is asked for. Two texts that differ
in any of it never mean the same, whatever their vectors say. Left out: what is polite, and words that tell nothing
apart. What remains are plain words, which vectors compare.

Wrong in one direction by intent: of two texts that mean the same many are told apart here, and cost a call.
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from classifier.meaning.english import PREPOSITIONS
from classifier.meaning.lexicon import NOTHING, Lexicon, lexicon
from classifier.meaning.tokens import Kind, Token, tokens_of
from classifier.meaning.vectors import Vocabulary

MAX_CHARACTERS: Final = 400
"""Of a text that is read; a longer one says too much for so few words to tell."""

FIXED: Final = 0xFFFF
"""Stands among the places of words for one that must be equal."""

_ENDING_WORDS: Final = 6
_INDENTED: Final = re.compile(r"\n[ \t\u3000]+\S")
"""As in code, where white space tells things apart."""
_EITHER_WAY: Final = re.compile(r"(.)(?:[不没]\1|(?<=[能可会是])否)")
"""A Chinese yes-or-no question: a word, not, and the word again."""
_DEGREES: Final = ("est", "er")
_CONTRARY: Final = ("un", "dis", "non", "mis", "anti")
_WH: Final = "whether"
_ME: Final = frozenset("i me my mine myself 我 我的 我们 我们的".split())
_YOU: Final = frozenset("you your yours yourself 你 你的 您 您的 你们 你们的 您们".split())


class Parsed(Struct, frozen=True):
    """A text without its wording.

    Attributes:
        kinds: of answers that it asks for, sorted.
        hard: what must be equal, in order; first the language.
        soft: places of the other words in the vocabulary, in order; `FIXED` where one stands that must be equal.
    """

    kinds: tuple[str, ...]
    hard: tuple[str, ...]
    soft: tuple[int, ...]


def parse(text: str, vocabulary: Vocabulary) -> Parsed | None:
    """Return what a text asks; None for one that is too long, is indented, or says nothing by itself."""
    if len(text) > MAX_CHARACTERS or _INDENTED.search(text):
        return None
    lists = lexicon()
    tokens = [piece for token in tokens_of(_told_straight(text)) for piece in _cut(token, lists, vocabulary)]
    words = [token.text for token in tokens]
    end = _without_ending(words, lists)
    kind, begin = _opening(words[:end], lists)
    kinds = [kind] if kind else []
    if not kind and begin < end and words[begin] in lists.whether:
        kinds.append(_WH)
    gathered = _Gathered(lists, vocabulary, tells_who=_has_both(words[begin:end]))
    place = begin
    while place < end:
        asked = lists.asked.at(words, place)
        if asked is not None and place + asked[0] <= end:
            kinds.append(asked[1])
            place += asked[0]
            continue
        same = lists.same.at(words, place)
        if same is not None and place + same[0] <= end:
            gathered.add(Token(Kind.WORD, same[1], tokens[place].named))
            place += same[0]
        else:
            gathered.add(tokens[place])
            place += 1
    if not gathered.soft:
        return None
    if len(kinds) > 1 and kinds[-1] == _WH:  # "do you know when ...?" in Chinese
        kinds.pop()
    language = "zh" if any(token.kind is Kind.HAN for token in tokens) else ""
    return Parsed(tuple(sorted(kinds)), (language, *gathered.hard), tuple(gathered.soft))


def _told_straight(text: str) -> str:
    """Return the text with Chinese questions of the form "is or is not" put as "is ...?"."""
    told, count = _EITHER_WAY.subn(r"\1", text)
    return f"{told}吗" if count else text


def _cut(token: Token, lists: Lexicon, vocabulary: Vocabulary) -> Iterator[Token]:
    """Yield the words of a token; the longest that is known, from the left."""
    if token.kind is not Kind.HAN:
        if token.kind is not Kind.BREAK:
            yield token
        return
    text, at = token.text, 0
    longest = max(map(len, lists.cut))
    while at < len(text):
        size = vocabulary.longest(text, at)
        for more in range(min(longest, len(text) - at), size, -1):
            if text[at : at + more] in lists.cut:
                size = more
                break
        yield Token(Kind.HAN, text[at : at + size])
        at += size


def _without_ending(words: list[str], lists: Lexicon) -> int:
    """Return where the words end that are no farewell."""
    end = len(words)
    while True:
        for size in range(min(_ENDING_WORDS, end), 0, -1):
            if tuple(words[end - size : end]) in lists.endings:
                end -= size
                break
        else:
            return end


def _opening(words: list[str], lists: Lexicon) -> tuple[str, int]:
    """Return what kind of answer the first words ask for, "" for none, and where the question itself begins."""
    place = 0
    while place < len(words):
        found = lists.openings.at(words, place)
        if found is None:
            return "", place
        place += found[0]
        if found[1] != NOTHING:
            return found[1], place
    return "", place


def _has_both(words: list[str]) -> bool:
    """Tell whether a text speaks of who asks and of who answers: then their order counts."""
    return not (_ME.isdisjoint(words) or _YOU.isdisjoint(words))


class _Gathered:
    """Words of one text, put to one side or the other."""

    def __init__(self, lists: Lexicon, vocabulary: Vocabulary, *, tells_who: bool) -> None:
        self.hard: list[str] = []
        self.soft: list[int] = []
        self._lists, self._vocabulary, self._tells_who = lists, vocabulary, tells_who
        self._preposition = ""

    def add(self, token: Token) -> None:
        word = token.text
        if token.kind is Kind.EXACT:
            self._add_hard(word)
        elif self._tells_who and word in _ME:
            self._add_hard("me")
        elif self._tells_who and word in _YOU:
            self._add_hard("you")
        elif word in PREPOSITIONS:
            self._preposition = word
        elif word in self._lists.fillers and not token.named:
            return
        elif self._is_hard(token):
            self._add_hard(word)
        elif word.endswith("s") and word[:-1] in self._lists.hard:
            self._add_hard(word[:-1])
        else:
            self._add_soft(word)

    def _is_hard(self, token: Token) -> bool:
        word = token.text
        if token.named or word in self._lists.hard or word.isdigit() or self._is_degree(word):
            return True
        if token.kind is Kind.HAN:
            return word not in self._lists.lexical and (len(word) == 1 or not self._lists.hard_parts.isdisjoint(word))
        return self._vocabulary.is_name(word) or self._is_contrary(word)

    def _is_degree(self, word: str) -> bool:
        """Tell whether a word compares: a form of one that has an opposite."""
        hard = self._lists.hard
        for ending in _DEGREES:
            if word.endswith(ending) and len(word) > len(ending) + 2:
                stem = word[: -len(ending)]
                return stem in hard or f"{stem}e" in hard or f"{stem[:-1]}y" in hard or stem[:-1] in hard
        return False

    def _is_contrary(self, word: str) -> bool:
        """Tell whether a word is the contrary of another by its first letters."""
        return any(
            word.startswith(prefix) and len(word) > len(prefix) + 2 and self._vocabulary.place(word[len(prefix) :])
            for prefix in _CONTRARY
        )

    def _add_hard(self, word: str) -> None:
        if self._preposition:
            self.hard.append(self._preposition)
        self.hard.append(word)
        self.soft.append(FIXED)
        self._preposition = ""

    def _add_soft(self, word: str) -> None:
        place = self._vocabulary.place(word)
        if place is None:
            self._add_hard(word)
            return
        self.soft.append(place)
        self._preposition = ""
