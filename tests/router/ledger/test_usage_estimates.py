"""Tests of router/ledger/usage_estimates.py."""

import random

import pytest

from backends.base import Usage
from router.ledger.usage_estimates import FEWEST, Ratio, UsageEstimates


def test_a_ratio_is_that_of_the_sums_and_its_error_that_of_a_hand_reckoning() -> None:
    ratio = Ratio()
    for size, tokens in ((100, 30), (200, 40), (300, 80)):
        ratio.learn(size, tokens)
    assert ratio.value == 150 / 600
    # residuals 5, -10, 5; their variance is 150 / 2, and that of the ratio 75 / 3 / 200^2
    assert ratio.standard_error == pytest.approx((75 / 3) ** 0.5 / 200)
    assert ratio.error(400) == pytest.approx((25 * 4 + 75) ** 0.5)


def test_nothing_learnt_has_no_ratio_and_no_error() -> None:
    assert (Ratio().value, Ratio().standard_error, Ratio().error(9)) == (0.0, 0.0, 0.0)
    found = UsageEstimates().estimate("m", prompt=400, reply=2_000, stream=True)
    assert found.usage == Usage(100, None, 10)
    assert (found.input_error, found.output_error) == (None, None)


def test_each_model_has_its_own_ratios_and_streams_have_others_than_bodies() -> None:
    estimates = UsageEstimates()
    for _ in range(FEWEST):
        estimates.learn("m", Usage(50, 50, 30, reasoning=10), prompt=300, reply=8_000, stream=True)
        estimates.learn("m", Usage(50, 50, 40), prompt=0, reply=160, stream=False)
    streamed = estimates.estimate("m", prompt=600, reply=400, stream=True)
    assert streamed.usage == Usage(200, None, 2), "what was cached and what was thought are in the ratios"
    assert estimates.estimate("m", prompt=600, reply=400, stream=False).usage.output == 100
    assert estimates.estimate("n", prompt=600, reply=400, stream=False).usage.output == 80
    learnt = estimates.ratio_of("m", "prompt")
    assert learnt is not None
    assert learnt.count == FEWEST, "a prompt that is not of text alone is not learnt from"


def test_the_sum_of_estimates_is_as_wrong_as_its_error_says() -> None:
    draw = random.Random(7)

    def request() -> tuple[int, int]:
        tokens = int(draw.lognormvariate(5, 0.8)) + 1
        return int(tokens * draw.gauss(4.2, 0.5)) + 40, tokens

    misses = []
    for _ in range(200):
        ratio = Ratio()
        for _ in range(150):
            ratio.learn(*request())
        asked = [request() for _ in range(50)]
        size, truth = sum(size for size, _ in asked), sum(tokens for _, tokens in asked)
        misses.append((size * ratio.value - truth) / ratio.error(size, count=len(asked)))
    within = sum(abs(miss) < 1.96 for miss in misses) / len(misses)
    assert 0.9 <= within <= 0.99
    assert abs(sum(misses) / len(misses)) < 0.3


def test_a_ratio_follows_a_model_that_changes() -> None:
    ratio = Ratio()
    for tokens in (100, 50):
        for _ in range(20_000):
            ratio.learn(400, tokens)
    assert ratio.value == pytest.approx(50 / 400, rel=0.02)
    assert ratio.count <= 4_097


def test_of_many_replies_some_are_enough_to_learn_from() -> None:
    estimates = UsageEstimates()
    assert all(estimates.is_due() for _ in range(1_000))
    assert sum(estimates.is_due() for _ in range(800)) == 100
