"""Prompt -> score by a few rules that anyone can read.

For whoever has no weights: long texts, code, several questions, numbers and words that join or compare speak
for Large. The points were set by hand and are not calibrated on anything. Looks at the same capped window as
the fitted scorer does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from classifier.base import Contribution, Prompt, Score
from classifier.window import window

VERSION = "1"
THRESHOLD = 0.5
_START = -2.0  # a text that no rule speaks for gets a score of 0.12

_JOINING_EN = (
    " and ",
    " or ",
    " then ",
    " because ",
    " compare",
    " which ",
    " both ",
    " between ",
    " until ",
    " explain",
)
_JOINING_ZH = ("和", "还是", "然后", "因为", "比较", "哪个", "之间", "直到", "为什么", "如何", "一共", "并且")


@dataclass(frozen=True, slots=True)
class Rule:
    """A measure of the text and what it is worth.

    Attributes:
        name: as an explanation shows it.
        measure: lower-cased text -> 0.0 (no sign of it) to 1.0.
        points: logits at a measure of 1.0.
    """

    name: str
    measure: Callable[[str], float]
    points: float


def _count(text: str, marks: tuple[str, ...] | str) -> int:
    return sum(text.count(mark) for mark in marks)


RULES = (
    Rule("long text", lambda text: min(max(len(text) - 100, 0) / 500, 1.0), 2.5),
    Rule("code marks", lambda text: min(_count(text, "{}[]();=`") / 8, 1.0), 2.0),
    Rule("several questions", lambda text: min(max(_count(text, "?？") - 1, 0) / 2, 1.0), 1.5),
    Rule("numbers", lambda text: min(_count(text, "0123456789") / 12, 1.0), 1.0),
    Rule("joining words", lambda text: min((_count(text, _JOINING_EN) + _count(text, _JOINING_ZH)) / 2, 1.0), 2.5),
)


class RulesClassifier:
    """Adds up the points of the rules; nothing to load, nothing to fit."""

    threshold = THRESHOLD

    def score(self, prompt: Prompt) -> Score:
        """Return the score of the conversation as a whole; never raises."""
        return Score(1 / (1 + math.exp(-_START - sum(self._points(prompt)))), f"rules@{VERSION}")

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the `top` rules that spoke, strongest first."""
        parts = [Contribution(rule.name, points) for rule, points in zip(RULES, self._points(prompt), strict=True)]
        return tuple(sorted((part for part in parts if part.weight), key=lambda part: -part.weight)[:top])

    def _points(self, prompt: Prompt) -> list[float]:
        seen = window(prompt)
        own, earlier = (
            part.decode("utf-8", "ignore").lower() for part in (seen.text[: seen.split], seen.text[seen.split - 1 :])
        )
        return [rule.points * max(rule.measure(own), seen.earlier * rule.measure(earlier)) for rule in RULES]
