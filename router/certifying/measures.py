"""Right classes and chosen classes -> accuracy, F1, Matthews' and Pearson's correlation.

Each is what scikit-learn or scipy give for the same classes. A reply that names no class is a class of its own, "",
which is never right. Knows no model.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Measure = Callable[[Sequence[str], Sequence[str]], float]

POSITIVE: Final = "1"
"""The class that F1 is of, in GLUE's files."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One figure of two models on the same cases.

    Attributes:
        incumbent, candidate: on all cases.
        without: shape (n,); the difference, candidate less incumbent, without each case.
    """

    incumbent: float
    candidate: float
    without: Reals


def accuracy(gold: Sequence[str], chosen: Sequence[str]) -> float:
    """Return the share of right classes; 0.0 of no case."""
    return sum(map(str.__eq__, gold, chosen)) / len(gold) if gold else 0.0


def f1(gold: Sequence[str], chosen: Sequence[str]) -> float:
    """Return F1 of the class `POSITIVE`; 0.0 where nothing has it or is said to have it."""
    return _f1(Counter(zip(gold, chosen, strict=True)))


def matthews(gold: Sequence[str], chosen: Sequence[str]) -> float:
    """Return Matthews' correlation coefficient, of two classes or more; 0.0 where one side has one class alone.

    Source: Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient".
    """
    return _matthews(Counter(zip(gold, chosen, strict=True)))


def pearson(gold: Sequence[str], chosen: Sequence[str]) -> float:
    """Return Pearson's correlation of numbers; 0.0 where one side does not vary."""
    return _pearson(*_sums(_numbers(gold), _numbers(chosen)))


MEASURES: Final[dict[str, Measure]] = {"f1": f1, "matthews": matthews, "pearson": pearson}
"""Those that are no means of what single cases are worth."""

_NEGATIVE: Final = "0"


def compare(name: str, gold: Sequence[str], incumbent: Sequence[str], candidate: Sequence[str]) -> Compared:
    """Return one figure of both models, and what its difference would be without each case."""
    measure = MEASURES[name]
    without = _without_numbers if measure is pearson else _without_classes(_OF_COUNTS[name])
    return Compared(measure(gold, incumbent), measure(gold, candidate), without(gold, incumbent, candidate))


def careful(
    name: str, gold: Sequence[str], incumbent: Sequence[str], candidate: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return the cases and two imaginary ones that the candidate alone got wrong: one of each class, or of each end.

    Where few cases were lost, the jackknife believes too much: its bound of 97.5 % missed in up to 7 % of simulated
    runs of 200 cases, and with these in up to 3 %. They do what half the square of the normal quantile, 1.92, does in
    a score test.
    """
    right, wrong = [POSITIVE, _NEGATIVE], [_NEGATIVE, POSITIVE]
    if name == "pearson":
        numbers = _numbers(gold)
        right = [str(numbers.max()), str(numbers.min())]
        wrong = [str((numbers.max() + numbers.min()) / 2)] * 2
    return [*gold, *right], [*incumbent, *right], [*candidate, *wrong]


def _without_classes(
    figure: Callable[[Counter[tuple[str, str]]], float],
) -> Callable[[Sequence[str], Sequence[str], Sequence[str]], Reals]:
    """Return what leaves each case out; cases that are alike in all three classes are left out once for all."""

    def without(gold: Sequence[str], incumbent: Sequence[str], candidate: Sequence[str]) -> Reals:
        rows = list(zip(gold, incumbent, candidate, strict=True))
        first, second = Counter((right, one) for right, one, _ in rows), Counter((right, two) for right, _, two in rows)
        found = {
            row: figure(second - Counter([(row[0], row[2])])) - figure(first - Counter([(row[0], row[1])]))
            for row in set(rows)
        }
        return np.array([found[row] for row in rows], dtype=np.float64)

    return without


def _accuracy(counts: Counter[tuple[str, str]]) -> float:
    total = counts.total()
    return sum(count for (right, said), count in counts.items() if right == said) / total if total else 0.0


def _f1(counts: Counter[tuple[str, str]]) -> float:
    hits = counts[POSITIVE, POSITIVE]
    missed = sum(count for (right, said), count in counts.items() if right == POSITIVE != said)
    false = sum(count for (right, said), count in counts.items() if said == POSITIVE != right)
    return 2 * hits / (2 * hits + missed + false) if hits else 0.0


def _matthews(counts: Counter[tuple[str, str]]) -> float:
    total = counts.total()
    rights, saids = Counter[str](), Counter[str]()
    for (right, said), count in counts.items():
        rights[right] += count
        saids[said] += count
    hits = sum(count for (right, said), count in counts.items() if right == said)
    together = hits * total - sum(count * saids[name] for name, count in rights.items())
    of_rights = total * total - sum(count * count for count in rights.values())
    of_saids = total * total - sum(count * count for count in saids.values())
    return together / math.sqrt(of_rights * of_saids) if of_rights and of_saids else 0.0


_OF_COUNTS: Final = {"accuracy": _accuracy, "f1": _f1, "matthews": _matthews}


def _numbers(written: Sequence[str]) -> Reals:
    """Return numbers; what is none is the middle of those that are, so that it tells nothing."""
    known = [float(each) for each in written if each]
    middle = sum(known) / len(known) if known else 0.0
    return np.array([float(each) if each else middle for each in written], dtype=np.float64)


def _sums(x: Reals, y: Reals) -> tuple[Reals, Reals, Reals]:
    """Return the sums of squares and of products about the means; each of shape ()."""
    a, b = x - x.mean(), y - y.mean()
    return np.asarray((a * a).sum()), np.asarray((b * b).sum()), np.asarray((a * b).sum())


def _pearson(x: Reals, y: Reals, together: Reals) -> float:
    return float(_correlations(x, y, together)[()])


def _correlations(x: Reals, y: Reals, together: Reals) -> Reals:
    product = np.sqrt(x * y)
    varies = product > _NOTHING
    return np.where(varies, together / np.where(varies, product, 1.0), 0.0)


_NOTHING: Final = 1e-12  # of a sum of squares that is zero but for rounding


def _without_numbers(gold: Sequence[str], incumbent: Sequence[str], candidate: Sequence[str]) -> Reals:
    """Return the difference of correlations without each case: a mean that loses one value moves by a known amount."""
    right = _numbers(gold)
    return _left_out(right, _numbers(candidate)) - _left_out(right, _numbers(incumbent))


def _left_out(x: Reals, y: Reals) -> Reals:
    cases = len(x)
    if cases < 3:  # noqa: PLR2004 - two points always lie on a line
        return np.zeros(cases)
    a, b = x - x.mean(), y - y.mean()
    weight = cases / (cases - 1)
    squares_x, squares_y, products = _sums(x, y)
    return _correlations(squares_x - weight * a * a, squares_y - weight * b * b, products - weight * a * b)
