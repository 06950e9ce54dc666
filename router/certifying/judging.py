"""Marks of both models -> a verdict for each slice.

Every figure of a slice has to keep its margin; its p-values are combined by the largest, and the slices by Holm's
method, so that one slice or more passes by chance with probability alpha at most. Fixed sequence would stop at the
first slice that fails, and slices have nothing to do with each other. A slice that was given up early cannot pass, and
counts as one of those that were tested. Knows no model and no suite.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from router.certificate import Lost, Measured, Verdict
from router.certifying.base import Mark, Plan
from router.certifying.measures import MEASURES, careful, compare
from router.statistics import paired
from router.statistics.holm import holm
from router.statistics.proportions import wilson

ALPHA: Final = 0.025
"""One-sided, for all slices together."""

FIRST: Final = 40
"""Cases after which a slice that cannot come to pass is given up."""

FEWEST: Final = 30
"""Cases below which nothing is claimed, whatever they say."""

_MOST: Final = 64  # times as many cases, up to which it is looked how many would decide


class Marked(Struct, frozen=True):
    """One case as both models answered it.

    Attributes:
        slice: its plan's name.
        refusal: why one of them would not take the request; "" where both did.
        tokens: of the prompt, as the candidate's backend counted them; 0 where it did not.
        lost: what a report shows, where the candidate did worse.
    """

    slice: str
    case: str
    gold: str
    incumbent: Mark
    candidate: Mark
    refusal: str = ""
    tokens: int = 0
    lost: Lost | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of one slice, before the others were looked at.

    Attributes:
        margin: fixed before.
        is_given_up: fewer cases were asked than planned, since it could not pass any more.
        cannot: why one of the models cannot serve such requests, or their replies cannot be judged; "" where both can.
    """

    plan: Plan
    margin: float
    marked: tuple[Marked, ...]
    measured: tuple[Measured, ...]
    is_given_up: bool
    cannot: str

    @property
    def p_value(self) -> float:
        """Return the p-value of the slice: the largest of its figures'; 1.0 where it cannot pass."""
        if self.cannot or self.is_given_up or len(self.marked) < FEWEST or is_blind(self.plan, self.marked):
            return 1.0
        return max(each.p_value for each in self.measured)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict on a slice; `needed` is as in `router.certificate.Slice`."""

    judged: Judged
    adjusted: float
    verdict: Verdict
    why: str
    needed: int | None


def judge(
    plan: Plan,
    marked: Sequence[Marked],
    *,
    margin: float,
    alpha: float = ALPHA,
    is_given_up: bool = False,
    cannot: str = "",
) -> Judged:
    """Return the figures of a slice."""
    measured = tuple(_measured(name, marked, margin=margin, alpha=alpha) for name in plan.measures) if marked else ()
    return Judged(plan, margin, tuple(marked), measured, is_given_up, cannot or _cannot(marked))


def rule(judged: Sequence[Judged], *, alpha: float = ALPHA) -> list[Ruling]:
    """Return the verdicts on all slices, in their order; what could not be asked was not tested."""
    adjusted = holm({each.plan.name: each.p_value for each in judged if each.marked})
    return [_ruling(each, adjusted.get(each.plan.name, 1.0), alpha, len(adjusted)) for each in judged]


def is_hopeless(plan: Plan, marked: Sequence[Marked], *, margin: float, alpha: float = ALPHA) -> bool:
    """Tell whether a slice is better given up: the incumbent is surely not able, or the candidate surely worse.

    To give up what cannot pass lets nothing pass that would not have.
    """
    if _cannot(marked):
        return True
    first, second = _scores(marked)
    surely_lost = _of_means(second, first, margin=margin, alpha=alpha)[1]
    return _surely([1.0 - score for score in first], alpha) > 1.0 - _guessed(plan, marked) or surely_lost > margin


def is_blind(plan: Plan, marked: Sequence[Marked], *, alpha: float = ALPHA) -> bool:
    """Tell whether the incumbent was not shown to do better than guessing.

    Without that, a candidate that can do nothing would be as good as an incumbent that cannot either; trials of
    medicines call it assay sensitivity.
    """
    return _surely([each.incumbent.score for each in marked], alpha) <= _guessed(plan, marked)


def _guessed(plan: Plan, marked: Sequence[Marked]) -> float:
    """Return what whoever knows the right classes, and not which case has which, would score."""
    return plan.floor if plan.guess is None or not marked else plan.guess([each.gold for each in marked])


def _cannot(marked: Sequence[Marked]) -> str:
    """Return why nothing can be said: a reply could not be judged, or most of the requests were refused."""
    faults = [mark.fault for each in marked for mark in (each.incumbent, each.candidate) if mark.fault]
    if faults:
        return faults[0]
    refusals = [each.refusal for each in marked if each.refusal]
    return refusals[0] if len(refusals) * 2 > len(marked) else ""


def _measured(name: str, marked: Sequence[Marked], *, margin: float, alpha: float) -> Measured:
    first, second = _scores(marked)
    if name not in MEASURES:
        p_value, bound = _of_means(first, second, margin=margin, alpha=alpha)
        return Measured(name, _mean(first), _mean(second), bound, p_value)
    said = _classes(marked)
    shown, found = compare(name, *said), compare(name, *careful(name, *said))
    value = found.candidate - found.incumbent
    bound = paired.jackknife_bound(value, found.without, alpha=alpha)
    p_value = paired.jackknife_p(value, found.without, margin=margin)
    return Measured(name, shown.incumbent, shown.candidate, bound if math.isfinite(bound) else None, p_value)


def _scores(marked: Sequence[Marked]) -> tuple[list[float], list[float]]:
    return [each.incumbent.score for each in marked], [each.candidate.score for each in marked]


def _classes(marked: Sequence[Marked]) -> tuple[list[str], list[str], list[str]]:
    return (
        [each.gold for each in marked],
        [each.incumbent.label for each in marked],
        [each.candidate.label for each in marked],
    )


def _of_means(first: Sequence[float], second: Sequence[float], *, margin: float, alpha: float) -> tuple[float, float]:
    """Return p-value and bound of the mean of paired differences."""
    if _are_right_or_wrong(first, second):
        won, lost = _won_and_lost(first, second)
        return (
            paired.proportions_p(won, lost, len(first), margin=margin),
            paired.proportions_bound(won, lost, len(first), alpha=alpha),
        )
    differences = [two - one for one, two in zip(first, second, strict=True)]
    return paired.mean_p(differences, margin=margin), paired.mean_bound(differences, alpha=alpha)


def _are_right_or_wrong(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(score in (0.0, 1.0) for score in (*first, *second))


def _won_and_lost(first: Sequence[float], second: Sequence[float]) -> tuple[int, int]:
    both = list(zip(first, second, strict=True))
    return sum(two > one for one, two in both), sum(two < one for one, two in both)


def _surely(scores: Sequence[float], alpha: float) -> float:
    """Return the lower bound of a mean score."""
    if not scores:
        return 0.0
    if all(score in (0.0, 1.0) for score in scores):
        return wilson(sum(scores), len(scores), level=1.0 - 2.0 * alpha)[0]
    return paired.mean_bound(scores, alpha=alpha)


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores) if scores else 0.0


# --- verdicts --------------------------------------------------------------------------------------


def _ruling(judged: Judged, adjusted: float, alpha: float, slices: int) -> Ruling:
    def as_is(verdict: Verdict, why: str, needed: int | None = None) -> Ruling:
        return Ruling(judged, adjusted, verdict, why, needed)

    marked, margin = judged.marked, judged.margin
    if judged.cannot:
        return as_is(Verdict.CANNOT, judged.cannot)
    if judged.is_given_up or len(marked) >= FEWEST:
        worse = next((each for each in judged.measured if each.candidate - each.incumbent <= -margin), None)
        if is_blind(judged.plan, marked):
            score, guess = _mean([each.incumbent.score for each in marked]), _guessed(judged.plan, marked)
            why = f"the incumbent scores {score:.3f} and guessing {guess:.3f}: no loss could be seen"
            return as_is(Verdict.BLIND, why)
        if worse is not None:
            lower = worse.incumbent - worse.candidate
            return as_is(Verdict.FAILED, f"{worse.name} is lower by {lower:.3f}, and {margin:g} is allowed")
        if judged.is_given_up:
            return as_is(Verdict.FAILED, "surely lower by more than the margin")
    if adjusted <= alpha:
        return as_is(Verdict.PASSED, f"not lower by {margin:g}, p = {adjusted:.2g} among {slices} slices")
    needed = _needed(judged, alpha / max(slices, 1))
    why = "even 64 times as many such cases would not decide" if needed is None else f"{needed} more cases needed"
    return as_is(Verdict.UNDECIDED, f"{why}, if they go as these {len(marked)}", needed)


def _needed(judged: Judged, alpha: float) -> int | None:
    """Return how many more cases would decide, if they went as these did; None where not even very many would."""
    now = len(judged.marked)
    would = [_p_of_more(name, judged) for name in judged.plan.measures]
    low, high, most = now, now + 1, max(now, FEWEST) * _MOST
    while high < FEWEST or any(p_of(high) > alpha for p_of in would):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        passes = middle >= FEWEST and all(p_of(middle) <= alpha for p_of in would)
        low, high = (low, middle) if passes else (middle, high)
    return high - now


def _p_of_more(name: str, judged: Judged) -> Callable[[int], float]:
    """Return what gives a figure's p-value at so many cases, if they went as these did."""
    marked, margin = judged.marked, judged.margin
    if name in MEASURES:
        found = compare(name, *careful(name, *_classes(marked)))
        value = found.candidate - found.incumbent
        return lambda cases: paired.jackknife_p(value, found.without, margin=margin, times=cases / len(marked))
    first, second = _scores(marked)
    if _are_right_or_wrong(first, second):
        won, lost = _won_and_lost(first, second)
        now = max(len(marked), 1)
        return lambda cases: paired.proportions_p(won * cases / now, lost * cases / now, cases, margin=margin)
    differences = [two - one for one, two in zip(first, second, strict=True)]
    return lambda cases: paired.mean_p([differences[place % len(differences)] for place in range(cases)], margin=margin)
