"""Tests classifier/design.py."""

from dataclasses import replace

import numpy as np
import pytest

from classifier.base import Prompt, Turn
from classifier.design import design
from classifier.features import BUCKETS, NUMBERS
from classifier.linear import COLUMNS, LinearClassifier
from classifier.pairs import Pair
from classifier.training import Fitted


def test_merged_weights_say_of_a_prompt_what_the_coefficients_say_of_its_row(
    fitted: Fitted, unseen_pairs: list[Pair]
) -> None:
    prompts = [pair.prompt for pair in unseen_pairs]
    for prior in (None, fitted.weights):
        designed = design(prompts, prior=prior)
        coefficients = np.random.default_rng(0).normal(size=designed.rows.shape[1])
        values, intercept = designed.merged(coefficients, 0.7)
        classifier = LinearClassifier(
            replace(
                fitted.weights,
                values=values,
                intercept=intercept,
                lowest=designed.lowest.astype(np.float32),
                highest=designed.highest.astype(np.float32),
            )
        )
        said = designed.rows @ coefficients + 0.7
        found = [classifier.decide(prompt) for prompt in prompts]
        assert np.abs(found - said).max() < 0.02 * said.std()  # of rounding to float16


def test_the_prior_is_one_column_of_spread_one(fitted: Fitted, unseen_pairs: list[Pair]) -> None:
    prompts = [pair.prompt for pair in unseen_pairs]
    rows = design(prompts, prior=fitted.weights).rows
    assert rows.shape == (len(prompts), COLUMNS + 1)
    column = rows[:, -1].toarray().ravel()
    assert column.std() == pytest.approx(1.0)
    classifier = LinearClassifier(fitted.weights)
    assert np.corrcoef(column, [classifier.decide(prompt) for prompt in prompts])[0, 1] > 0.999


def test_a_number_far_from_all_others_is_cut_and_a_constant_one_is_nothing() -> None:
    prompts = [Prompt((Turn("user", "word " * count),)) for count in (*range(1, 40), 10_000)]
    designed = design(prompts)
    numbers = designed.rows[:, BUCKETS:].toarray()
    assert np.abs(numbers).max() <= 3.0 * 0.3 + 1e-9
    closer = design(prompts, widest=1.0).rows[:, BUCKETS:].toarray()
    assert np.abs(closer).max() <= 0.3 + 1e-9 < np.abs(numbers).max()
    tools = NUMBERS.index("tools")
    assert designed.scale[tools] == 1.0
    assert not numbers[:, tools].any()
