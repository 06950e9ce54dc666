"""Tests router/certifying/measures.py."""

import random

import numpy as np
import pytest

from router.certifying.measures import MEASURES, accuracy, careful, compare, f1, matthews, pearson
from router.statistics.paired import jackknife_bound


def drawn(seed: int, classes: str, said: str, cases: int = 60) -> tuple[list[str], list[str]]:
    """Return right classes and chosen ones, which are right half of the time; "-" stands for none."""
    rng = random.Random(seed)
    gold = [rng.choice(classes) for _ in range(cases)]
    return gold, [right if rng.random() < 0.5 else rng.choice(said).strip("-") for right in gold]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("classes", "said"), [("01", "01"), ("01", "01-"), ("012", "012"), ("0", "01"), ("01", "0")])
def test_accuracy_f1_and_matthews_are_those_of_scikit_learn(seed: int, classes: str, said: str) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, chosen = drawn(seed, classes, said)
    assert accuracy(gold, chosen) == pytest.approx(metrics.accuracy_score(gold, chosen), abs=1e-12)
    assert matthews(gold, chosen) == pytest.approx(metrics.matthews_corrcoef(gold, chosen), abs=1e-12)
    (wanted,) = metrics.f1_score(gold, chosen, labels=["1"], average=None, zero_division=0.0)
    assert f1(gold, chosen) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_pearson_is_that_of_numpy_and_what_does_not_vary_correlates_with_nothing(seed: int) -> None:
    rng = random.Random(seed)
    gold = [f"{rng.uniform(0, 5):.2f}" for _ in range(40)]
    said = [f"{float(each) + rng.gauss(0, 1):.2f}" for each in gold]
    wanted = np.corrcoef(list(map(float, gold)), list(map(float, said)))[0, 1]
    assert pearson(gold, said) == pytest.approx(wanted, abs=1e-12)
    assert pearson(gold, ["2.5"] * 40) == pearson(gold, [""] * 40) == 0.0
    assert pearson(gold, ["", *said[1:]]) == pytest.approx(wanted, abs=0.2)


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_left_out_is_what_would_be_without_each_case(name: str) -> None:
    gold, first = drawn(1, "0123", "01234") if name == "pearson" else drawn(1, "01", "01-")
    second = drawn(2, "0123", "01234")[1] if name == "pearson" else drawn(2, "01", "01")[1]
    found, measure = compare(name, gold, first, second), MEASURES[name]
    assert (found.incumbent, found.candidate) == (measure(gold, first), measure(gold, second))
    for place in range(len(gold)):
        left = [each[:place] + each[place + 1 :] for each in (gold, first, second)]
        wanted = measure(left[0], left[2]) - measure(left[0], left[1])
        assert found.without[place] == pytest.approx(wanted, abs=1e-12)


def test_two_points_have_no_correlation_to_speak_of() -> None:
    assert list(compare("pearson", ["1", "2"], ["1", "2"], ["2", "1"]).without) == [0.0, 0.0]
    assert accuracy([], []) == 0.0


def test_two_imaginary_losses_keep_the_bound_where_few_cases_were_lost() -> None:
    rng, missed, careless = random.Random(3), 0, 0
    for _ in range(150):
        gold = [rng.choice("01") for _ in range(120)]
        lost = [("1" if right == "0" else "0") if rng.random() < 0.03 else right for right in gold]
        truth = -0.06
        for careful_one in (True, False):
            cases = careful("matthews", gold, gold, lost) if careful_one else (gold, gold, lost)
            found = compare("matthews", *cases)
            is_missed = jackknife_bound(found.candidate - found.incumbent, found.without, alpha=0.025) > truth
            missed, careless = missed + (careful_one and is_missed), careless + (not careful_one and is_missed)
    assert missed <= 5 < careless
