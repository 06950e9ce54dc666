"""Replies to one prompt -> signs that the first of them is wrong.

What the replies answer and whether they agree; how sure the model was of its tokens; what a reply shows by itself:
hedging, a refusal, a broken end, repetition, sums that are false. All of it is cheap, bounded in the size of the text,
and works whatever the text is. What each sign is worth is not known here.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add

from classifier.base import Kind, Sample
from classifier.verifying.answers import Answer, Reading, agree, answer_of, read
from classifier.verifying.arithmetic import equations
from classifier.verifying.quantities import is_round

SIGNS = (
    "dissent",
    "scatter",
    "nothing to compare",
    "not ended",
    "no answer",
    "others without answer",
    "other words",
    "other numbers",
    "answer nowhere in the others",
    "false arithmetic",
    "dissent of a flawed reply",
    "cut short",
    "empty",
    "refusal",
    "hedging",
    "repetition",
    "length",
    "unlike the others in length",
    "numbers in the reply",
    "odd number",
    "answer not marked",
    "lowest log-probability",
    "log-probability, 5 %",
    "log-probability, 10 %",
    "log-probability, 25 %",
    "mean log-probability",
    "prompt's score",
)
"""Order of the columns; from the third on they are signs beside agreement."""

AGREEMENT = 2  # so many of `SIGNS` say who agrees with whom

_TYPICAL = 600.0  # characters of a reply with a few steps of reasoning
_SPAN = 2.5  # natural logarithms of a length, beyond which it counts as this long
_END, _END_ZH = 1_000, 400  # characters at the end whose words, or pairs of Chinese signs, are compared
_FEW_WORDS, _LOOPING = 60, 0.15  # a text of more words, of which so small a share is new, has fallen into a loop
_SENTENCE_ENDS, _SENTENCE_LENGTH = "\n。！？", 12
_BEGINNING = 200  # characters at the start in which a refusal is looked for
_LONG = 80  # characters from which a reply without a last full stop counts as cut
_SUREST = (3.0, 0.8, 0.4, 0.05, 0.15)  # typical negated log-probabilities: lowest, 5 %, 10 %, 25 %, mean
_SHARES = (0.0, 0.05, 0.1, 0.25)
_LEAST_SURE = 12.0
_TOKENS = 512  # whose log-probabilities are looked at
_SCORE_SPAN = 4.0  # logits

_HEDGES = (
    *("not sure", "not certain", "unsure", "i think", "i believe", "i guess", "might be", "may be", "perhaps", "maybe"),
    *("possibly", "probably", "it seems", "appears to", "unclear", "ambiguous", "assuming", "assume that", "however"),
    *("wait,", "let me re", "mistake", "does not make sense", "doesn't make sense", "not enough information"),
    *("cannot be determined", "can't be determined", "approximately", "roughly"),
)
_HEDGES_ZH = (
    *("不确定", "可能", "也许", "大概", "或许", "似乎", "好像", "我认为", "我觉得", "我猜", "假设", "无法确定"),
    *("不清楚", "不太清楚", "等等", "重新", "信息不足", "但是", "大约"),
)
_REFUSAL = re.compile(
    r"i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:'|no)t|cannot|won't) (?:help|assist|answer|provide|do)"
    r"|as an ai\b|i apologi[sz]e|抱歉|对不起|无法(?:回答|提供|帮助)|不能(?:回答|提供|帮助)|作为(?:一个)?(?:ai|人工智能)"
)
_ENDED = tuple(".!?。！？…\"'”’)）]】}>`*$|~:;；：0123456789")
_NUMERAL = re.compile(r"\d[\d,]{0,30}(?:\.\d{1,12})?")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Who agrees with the first reply, among those that can be compared.

    Attributes:
        compared: other replies that can be compared with the first.
        against: of them, those that answer otherwise.
        ways: different answers among those; 0 where there are none.
    """

    compared: int
    against: int
    ways: int


@dataclass(frozen=True, slots=True)
class Signs:
    """What is found in the replies.

    Attributes:
        pattern: who agrees.
        values: in the order of `SIGNS`.
    """

    pattern: Pattern
    values: tuple[float, ...]


def signs_of(score: float, replies: Sequence[Sample], *, wanted: Kind | None = None) -> Signs:
    """Return the signs of the first reply; never raises, whatever the texts are.

    Args:
        score: of the prompt, 0.0 to 1.0.
        replies: the first is judged by the others; one that stands alone and has not ended is judged as far as it has
            come.
        wanted: the form of answer that the prompt asks for, see `classifier.verifying.answers.wanted_by`.
    """
    first, *others = replies or (Sample("", None, "stop"),)
    readings = [read(sample.text) for sample in (first, *others)]
    texts = list(map(_readable, readings))
    ends = [text[-_END:].lower() for text in texts]
    answers = [answer_of(reading, wanted=wanted) for reading in readings]
    pattern, text = _pattern(answers[0], answers[1:]), texts[0]
    numerals, *of_others = map(_numerals, ends)
    is_whole = first.finish_reason is not None or bool(others)  # else it may still be on its way
    empty = is_whole and not text.strip()
    values = (
        pattern.against / pattern.compared if pattern.compared else 0.0,
        _scatter(pattern),
        float(not pattern.compared),
        float(not is_whole),
        float(answers[0] is None and is_whole and not empty),
        _mean(float(answer is None) for answer in answers[1:]),
        _distances(ends),
        _mean(_missing(numerals, other) for other in of_others),
        _nowhere(answers[0], of_others),
        1.0 - 0.5 ** equations(text).false,
        _flawed_dissent(answers, texts),
        _cut(first, text) if is_whole else 0.0,
        float(empty),
        float(_REFUSAL.search(text[:_BEGINNING].lower().replace("’", "'")) is not None),
        math.log1p(_hedges(ends[0].replace("’", "'"))),
        _repetition(ends[0]),
        _bounded(math.log(max(len(first.text), 1) / _TYPICAL), _SPAN) if is_whole else 0.0,
        _unlike(len(first.text), [len(other.text) for other in others]),
        math.log1p(len(numerals)) / 3,
        float(is_whole and _is_odd(answers[0])),
        float(is_whole and answers[0] is not None and not answers[0].marked),
        *_unsureness(first.logprobs),
        _bounded(_logit(score), _SCORE_SPAN),
    )
    return Signs(pattern, values)


# --- agreement -----------------------------------------------------------------------------------------


def _pattern(first: Answer | None, others: Sequence[Answer | None]) -> Pattern:
    """Return who agrees; a reply without an answer is not compared, unless it is the first."""
    given = [answer for answer in others if answer is not None]
    against = [answer for answer in given if not agree(first, answer)]
    ways = list[Answer]()
    for answer in against:
        if not any(agree(answer, known) for known in ways):
            ways.append(answer)
    return Pattern(len(given), len(against), len(ways))


def _scatter(pattern: Pattern) -> float:
    """Return how far those who answer otherwise differ among themselves: less than what one more of them counts."""
    if not pattern.against:
        return 0.0
    return (pattern.ways - 1) / pattern.against / pattern.compared


def _flawed_dissent(answers: Sequence[Answer | None], texts: Sequence[str]) -> float:
    """Return the share of other replies that differ and reckon falsely: they say less against the first."""
    differing = [
        text
        for answer, text in zip(answers[1:], texts[1:], strict=True)
        if answer is not None and not agree(answers[0], answer)
    ]
    return sum(equations(text).false > 0 for text in differing) / len(differing) if differing else 0.0


def _readable(reading: Reading) -> str:
    """Return what is looked at, as it came, but for LaTeX's signs."""
    return reading.plain if "\\" in reading.text else reading.text


# --- one reply ---------------------------------------------------------------------------------------------


def _cut(sample: Sample, text: str) -> float:
    """Return 1.0 for a reply that ran into its limit, 0.5 for one that ends in the middle of a sentence."""
    if sample.finish_reason == "length":
        return 1.0
    end = text.rstrip()
    return 0.5 if len(end) > _LONG and not end.endswith(_ENDED) else 0.0


def _is_odd(answer: Answer | None) -> bool:
    return answer is not None and isinstance(answer.value, float) and not is_round(answer.value)


def _hedges(lower: str) -> int:
    found = sum(map(lower.count, _HEDGES))
    return found if lower.isascii() else found + sum(map(lower.count, _HEDGES_ZH))


def _repetition(end: str) -> float:
    """Return the share of sentences that stand more than once; 1.0 where a few words are said again and again."""
    words = end.split() if end.isascii() else end
    if len(words) > _FEW_WORDS and len(set(words)) < _LOOPING * len(words):
        return 1.0
    for mark in _SENTENCE_ENDS:
        end = end.replace(mark, ".")
    sentences = [one for one in end.split(".") if len(one) > _SENTENCE_LENGTH]
    return 1.0 - len(set(sentences)) / len(sentences) if sentences else 0.0


def _unsureness(logprobs: Sequence[float] | None) -> tuple[float, ...]:
    """Return how far negated log-probabilities lie over typical ones: lowest, 5 %, 10 %, 25 % quantile, and mean.

    Quantiles, as sums grow with the length and one rare word weighs in a mean as much as many doubts. Of a long reply
    every second token is looked at, or every third, and so on.

    Source: Gupta et al. 2024, "Language Model Cascades: Token-level uncertainty and beyond".
    """
    known = sorted(logprobs[:: -(-len(logprobs) // _TOKENS)]) if logprobs else []
    total = sum(known) if known else math.nan  # not fsum, which refuses infinities of both signs
    if math.isnan(total):
        return (0.0,) * len(_SUREST)
    last = len(known) - 1
    found = (*(known[int(last * share)] for share in _SHARES), total / len(known))
    return tuple(min(max(-value, 0.0), _LEAST_SURE) - typical for value, typical in zip(found, _SUREST, strict=True))


# --- comparing texts -----------------------------------------------------------------------------------


def _distances(ends: Sequence[str]) -> float:
    """Return how far the words of the other replies differ from those of the first, on average."""
    if len(ends) == 1:
        return 0.0
    first, *others = map(_words, ends)
    return _mean(_distance(first, other) for other in others)


def _words(end: str) -> set[str]:
    """Return the words; pairs of signs where it is Chinese."""
    if end.isascii():
        return set(end.split())
    end = end[-_END_ZH:]
    return set(map(add, end, end[1:]))


def _distance(one: set[str], other: set[str]) -> float:
    """Return 0.0 for equal sets, 1.0 for sets without a common member."""
    either = len(one | other)
    return 1.0 - len(one & other) / either if either else 0.0


def _numerals(text: str) -> set[str]:
    """Return the numbers of a text, each in its shortest spelling."""
    found = {numeral.replace(",", "") for numeral in _NUMERAL.findall(text)}
    return {numeral.rstrip("0").rstrip(".") if "." in numeral else numeral for numeral in found}


def _missing(own: set[str], other: set[str]) -> float:
    """Return the share of the first reply's numbers that another one never writes; 0.5 where it writes none."""
    return len(own - other) / len(own) if own else 0.5


def _nowhere(answer: Answer | None, others: Sequence[set[str]]) -> float:
    """Return the share of other replies in which the first one's numeric answer does not stand anywhere."""
    if answer is None or not isinstance(answer.value, float):
        return 0.0
    numeral = f"{abs(answer.value):.12g}"
    return _mean(float(numeral not in other) for other in others)


def _unlike(length: int, others: Sequence[int]) -> float:
    if not others:
        return 0.0
    return min(_SPAN, abs(math.log((length + 20) / (sum(others) / len(others) + 20))))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _bounded(value: float, span: float) -> float:
    return min(max(value, -span), span)


def _logit(score: float) -> float:
    if math.isnan(score):
        return 0.0
    inside = min(max(score, 1e-9), 1 - 1e-9)
    return math.log(inside / (1 - inside))
