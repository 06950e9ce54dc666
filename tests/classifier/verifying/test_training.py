"""Tests `classifier/verifying/training.py` on replies whose faults are known."""

import random

import pytest

from classifier.base import Sample
from classifier.verify import Verifier
from classifier.verifying.replies import SIGNS
from classifier.verifying.training import FEWEST, Case, VerifyDataError, fit_verifier

Drawn = tuple[list[Case], list[bool], list[str]]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Return cases in which dissent and doubt go with being wrong, mostly."""
    rng = random.Random(7)
    cases, labels, groups = list[Case](), list[bool](), list[str]()
    for number in range(240):
        wrong = rng.random() < 0.4
        other = "5" if rng.random() < (0.25 if wrong else 0.9) else "6"
        logprobs = tuple(-abs(rng.gauss(1.0 if wrong else 0.2, 0.4)) for _ in range(12))
        replies = (Sample("5", logprobs, "stop"), Sample(other, None, "stop"))[: rng.choice((1, 2, 2))]
        cases.append(Case(rng.random(), replies))
        labels.append(wrong)
        groups.append(f"q{number // 2}")
    return cases, labels, groups


def test_what_goes_with_being_wrong_is_found_and_measured_on_other_groups(drawn: Drawn) -> None:
    weights, report = fit_verifier(*drawn, 0, name="mine", version="3")
    assert (report.cases, report.groups, report.wrong) == (240, 120, sum(drawn[1]))
    assert report.auroc > 0.85
    assert report.auroc_of_score < 0.6
    assert report.ece < 0.15
    assert set(report.auroc_by_replies) == {"1", "2"}
    assert weights.values[SIGNS.index("dissent")] > 0
    assert not weights.apart
    verifier = Verifier(weights)
    assert verifier.source == "mine@3"
    sure, unsure = Sample("5", (-0.05,) * 9, "stop"), Sample("5", (-1.5,) * 9, "stop")
    assert verifier.p_wrong(0.5, [sure, Sample("5", None, "stop")]) < 0.3
    assert verifier.p_wrong(0.5, [unsure, Sample("6", None, "stop")]) > 0.7


def test_equal_arguments_give_equal_weights(drawn: Drawn) -> None:
    assert fit_verifier(*drawn, 0) == fit_verifier(*drawn, 0)


def test_labels_without_meaning_give_no_measure_above_chance(drawn: Drawn) -> None:
    cases, labels, groups = drawn
    shuffled = random.Random(1).sample(labels, len(labels))
    assert abs(fit_verifier(cases, shuffled, groups, 0)[1].auroc - 0.5) < 0.15


def test_too_little_to_fit_on_is_named(drawn: Drawn) -> None:
    cases, labels, groups = drawn
    with pytest.raises(VerifyDataError, match="give one of each"):
        fit_verifier(cases, labels[1:], groups, 0)
    with pytest.raises(VerifyDataError, match=f"49 labelled replies are too few to fit on; label {FEWEST}"):
        fit_verifier(cases[:49], labels[:49], groups[:49], 0)
    with pytest.raises(VerifyDataError, match="0 groups have a first reply that is wrong"):
        fit_verifier(cases, [False] * len(cases), groups, 0)
    with pytest.raises(VerifyDataError, match="1 groups have a first reply that is right"):
        fit_verifier(cases, [group != "q0" for group in groups], groups, 0)
