"""Reply -> the pieces of it that it states as its conclusion, the strongest first.

A box, "####", "the answer is" or 答案是, then bold type, then a sentence that begins with "therefore" or 所以 and that
no reckoning follows. Marks are looked for from the end, a few of each kind, so that the cost is linear. What a piece
means is not known here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

TRIED = 8  # of each kind of mark
_PIECE = 300  # characters after a mark that may hold the answer
_END = 400  # characters at the end of a reply in which a weak mark counts

_CLAIM = re.compile(
    r"(?i:answer|option|choice)s?[\"'*_)\]\s]{0,4}(?:(?i:choice|option|to the question)\s)?"
    r"(?P<says>(?i:is|was|are|should be|would be|must be)\b|[:=]|\n)?[\"'*_\s]{0,4}"
    r"(?P<says_more>:|(?i:therefore|thus|clearly|simply)\b,?)?[\"'*_\s]{0,4}"
)
_CLAIM_ZH = re.compile(
    r"(?:答案|选项)[\"'*)\s]{0,4}(?P<says>(?:应该?|应当)?(?:就?是|为|选择?)|[:=\]】])[\"'*:=\s]{0,6}"
)
_CHOSEN_ZH = re.compile(r"[故应此以][^\n。]{0,4}?(?P<says>选择?)[\"'*:\s]{0,4}(?=[(A-J])")
_WORDS = ("answer", "correct option", "correct choice")
_WORDS_ZH = ("答案", "正确选项")
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_LABEL = re.compile(r"(?i:step|part|step-by-step|note)\b|步骤|第|.*[:：]$")
_WEAK = (
    "therefore",
    "thus",
    "hence",
    "altogether",
    "in total",
    "in conclusion",
    "so",
    "因此",
    "所以",
    "综上",
    "总共",
    "一共",
)
_SENTENCE_END = re.compile(r"[.!?](?=[\s\"'*)]|$)|[。;\n]")
_LETTER = re.compile(r"[\s(\[*]{0,4}[A-J]\.\s")  # the full stop of "B. Paris" ends no sentence
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Piece:
    """What stands after a mark.

    Attributes:
        text: a few words or one sentence.
        whole: the mark says where the answer ends, too: all of the text is the answer.
        weak: only a number counts here, and the last one of them.
    """

    text: str
    whole: bool = False
    weak: bool = False


def conclusions(text: str) -> Iterator[Piece]:
    """Yield the pieces that may hold the answer, the strongest first; of equal ones the last comes first."""
    for start in _places(text, "\\boxed{"):
        yield Piece(_braced(text, start + len("\\boxed{")), whole=True)
    for start in _places(text, "####"):
        yield Piece(text[start + 4 : start + _PIECE].strip().partition("\n")[0], whole=True)
    for start in _claims(text):
        yield Piece(_sentence(text, start))
    tail = text[-_END:]
    for said in reversed(_BOLD.findall(tail)):
        if not _LABEL.match(said.strip()):
            yield Piece(said, weak=True)
    yield from _consequence(tail)


def _claims(text: str) -> list[int]:
    """Return where the text goes on after "the answer is" and the like, last first."""
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals grow when lowered
        lower = text
    found = [_CLAIM.match(text, start + word.rfind(" ") + 1) for word in _WORDS for start in _places(lower, word)]
    if not text.isascii():
        found += [_CLAIM_ZH.match(text, start + len(word) - 2) for word in _WORDS_ZH for start in _places(text, word)]
        found += [_CHOSEN_ZH.search(text, max(0, start - 6), start + 12) for start in _places(text, "选")]
    return sorted({one.end() for one in found if one and one["says"]}, reverse=True)


def _consequence(tail: str) -> Iterator[Piece]:
    """Yield the last sentence that begins as a conclusion does, where no number follows it."""
    lower = tail.lower()
    after = max(_end_of(word, lower) for word in _WEAK)
    if after:
        end = _SENTENCE_END.search(tail, after)
        if end is None or not _DIGIT.search(tail, end.end()):
            yield Piece(tail[after : end.start() if end else len(tail)], weak=True)


def _end_of(word: str, text: str) -> int:
    """Return where a word ends that stands by itself, at its last place; 0 where it stands nowhere."""
    for start in _places(text, word):
        end = start + len(word)
        if not word.isascii() or not (text[start - 1 : start].isalpha() or text[end : end + 1].isalpha()):
            return end
    return 0


def _places(text: str, word: str) -> Iterator[int]:
    at = len(text)
    for _ in range(TRIED):
        at = text.rfind(word, 0, at)
        if at < 0:
            return
        yield at


def _braced(text: str, start: int) -> str:
    """Return what stands up to the brace that closes."""
    depth = 1
    for place in range(start, min(len(text), start + _PIECE)):
        depth += (text[place] == "{") - (text[place] == "}")
        if not depth:
            return text[start:place]
    return text[start : start + _PIECE]


def _sentence(text: str, start: int) -> str:
    piece = text[start : start + _PIECE].lstrip()
    letter = _LETTER.match(piece)
    end = _SENTENCE_END.search(piece, letter.end() if letter else 0)
    return piece[: end.start()] if end else piece
