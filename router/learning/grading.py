"""Two replies to one request -> what each was worth, by whether they agree.

Large's reply counts as right, and Mini's as right where it says the same. Only a reply of Large that has something
to compare is graded; whether Mini agrees has no part in that, or the grades would be those of the easy half. That
Large may be wrong itself is this grader's known fault: what people say of an answer stands above it.
"""

import re
import unicodedata
from dataclasses import dataclass

from classifier.base import Kind, Prompt
from classifier.verifying.answers import Answer, agree, extract, wanted_by

GRADER = "agreement@1"
SHORT = 200  # characters of a reply that is compared as it stands, or whose last number is its answer

_SPACES = re.compile(r"\s+")
_EDGES = " .,;:!?\"'`*_。，；：！？"


@dataclass(frozen=True, slots=True)
class Grade:
    """What the replies were worth, 0.0 to 1.0."""

    strong_score: float
    weak_score: float


def grade(prompt: Prompt, *, large: str, mini: str) -> Grade | None:
    """Return what both replies were worth; None where Large's has nothing that could be compared."""
    wanted = wanted_by(prompt)
    answer = extract(large, wanted=wanted)
    if answer is not None and _is_telling(answer, large, wanted=wanted):
        is_same = agree(answer, extract(mini, wanted=wanted))
    elif 0 < len(large.strip()) <= SHORT:
        is_same = plain(large) == plain(mini)
    else:
        return None
    return Grade(strong_score=1.0, weak_score=1.0 if is_same else 0.0)


def plain(text: str) -> str:
    """Return a text without what does not change its meaning: case, width, spaces, marks around it."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text)).strip(_EDGES).casefold()


def _is_telling(answer: Answer, reply: str, *, wanted: Kind | None) -> bool:
    """Tell an answer from a number that stands somewhere in a long text."""
    is_form = answer.kind in (Kind.JSON, Kind.CODE)
    return answer.marked or is_form or answer.kind is wanted or len(reply) <= SHORT
